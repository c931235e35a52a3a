"""The answer to `kolossos plan`: the best layout with its bill, its intervals, and what it was chosen over."""

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

from kolossos.errors import InputError
from kolossos.plan.answer.bill import Bill, bill_of
from kolossos.plan.answer.calibrate_on import Calibration
from kolossos.plan.answer.nothing_fits import nothing_fits
from kolossos.plan.choices import NAMES
from kolossos.plan.closed_form.stage_memory import StageMemory
from kolossos.plan.events.step import StepSchedule, schedule_step
from kolossos.plan.job import Job
from kolossos.plan.published.interval import memory_interval, probability_within, step_interval
from kolossos.plan.search.layout_parts import PricedLayout, price_if_allowed, price_layouts
from kolossos.plan.search.prices import Choice, Found
from kolossos.plan.search.search import COMPARED, search
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.layout import Layout

GIB = 2.0**30
MOST_EVENTS = 200_000
"""Passes of micro-batches through chunks, up to which a step is played (about a second)."""
LOSSES_SHOWN = 3


@dataclass(frozen=True)
class RunnerUp:
    """The best layout with another value on some axis, and the parts of the step that it loses by."""

    differs: dict[str, int | str]
    """Its values where they are not the best layout's."""
    priced: PricedLayout
    slower: float
    """Seconds a token over the best's, less one."""
    losses: tuple[tuple[str, float], ...]
    """Part and seconds a step (of the best's batch) that it takes longer, largest first."""


@dataclass(frozen=True)
class Answer:
    """A plan on one kind of GPU."""

    job: Job
    cluster: ClusterSpec
    tokens: float
    priced: PricedLayout
    bill: Bill
    stages: list[StageMemory]
    runner_ups: list[RunnerUp]
    found: Found | None
    """None where the layout was given."""
    played: StepSchedule | None
    """The same step, played event by event; None where that would take long."""
    calibration: Calibration | None = None
    """What measured steps of one's own changed, if there were any."""

    @property
    def model_flops(self) -> float:
        """Of all tokens: forward and backward, no recompute."""
        return training_flops_per_token(self.job.model, self.job.seq_len) * self.tokens

    @property
    def fits(self) -> bool:
        """Whether the fullest stage has memory enough and leaves the margin; a layout that was given may not."""
        return self.priced.choice.memory_bytes <= self.job.usable_bytes

    @property
    def fit_probability(self) -> float:
        """That the fullest stage's true peak is within the card's memory, by the errors of published runs."""
        return probability_within(self.priced.choice.memory_bytes, self.job.gpu.memory_bytes)

    @cached_property
    def narrowing(self) -> float:
        """How much narrower the measured steps make the interval of this one."""
        return 1.0 if self.calibration is None else self.calibration.narrowing(self.job, self.priced.layout)

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """90 % bounds of the figures; those of days, energy and money move with the step's."""
        seconds = self.priced.step_time_s
        low, high = step_interval(seconds, self.job.measured_software, self.narrowing)
        relative = (low / seconds, high / seconds)
        rising = {
            "step_time_s": seconds,
            "days": self.bill.days,
            "energy_joules": self.bill.energy_joules,
            "cost_usd": self.bill.rent_usd,
        }
        falling = {"mfu": self.priced.mfu, "tokens_per_s": self.priced.tokens_per_step / seconds}
        rising = {name: value for name, value in rising.items() if isfinite(value)}
        bounds = {name: (value * relative[0], value * relative[1]) for name, value in rising.items()}
        bounds |= {name: (value / relative[1], value / relative[0]) for name, value in falling.items()}
        return bounds | {"memory_bytes": memory_interval(self.priced.choice.memory_bytes)}


def answer(
    job: Job,
    cluster: ClusterSpec,
    tokens: float,
    layout: Layout | None = None,
    objective: str = "time",
    calibration: Calibration | None = None,
) -> Answer:
    """Plan ``job``: the best of its whole space, or a given layout. InputError if nothing fits or a rule is broken.

    calibration: what moves the job's coefficients first.
    """
    job = job if calibration is None else calibration.applied(job)
    found: Found | None = None
    if layout is None:
        found = search(job, objective)
        if found.best is None:
            raise InputError(nothing_fits(job, found.leanest))
        priced = price_layouts(job, [found.best.layout])[0]
    else:
        priced = price_if_allowed(job, layout)
    return Answer(
        job=job,
        cluster=cluster,
        tokens=tokens,
        priced=priced,
        bill=bill_of(job, priced, tokens),
        stages=priced.stages,
        runner_ups=_runner_ups(job, priced, found) if found else [],
        found=found,
        played=_played(priced),
        calibration=calibration,
    )


def _played(priced: PricedLayout) -> StepSchedule | None:
    """The step as the event schedule plays it, the second evaluator; None where that would take long."""
    layout = priced.layout
    if layout.pp * layout.vp * layout.accumulation_steps > MOST_EVENTS:
        return None
    return schedule_step(priced.kernels, priced.setting)


def _runner_ups(job: Job, best: PricedLayout, found: Found) -> list[RunnerUp]:
    """The best layouts that have another value on one axis at least, nearest first."""
    rivals: dict[str, Layout] = {}
    for axis in COMPARED:
        own = getattr(best.layout, axis)
        named = [
            (NAMES[axis][code] if axis in NAMES else code, c) for (n, code), c in found.by_axis.items() if n == axis
        ]
        others = [choice for value, choice in named if value != own]
        if others:
            layout = min(others, key=lambda choice: choice.seconds_per_token).layout
            rivals[repr(layout)] = layout
    priced = price_layouts(job, list(rivals.values())) if rivals else []
    return sorted((_compare(rival, best) for rival in priced), key=lambda rival: rival.slower)


def _compare(rival: PricedLayout, best: PricedLayout) -> RunnerUp:
    scale = best.tokens_per_step / rival.tokens_per_step
    more = {part: seconds * scale - best.parts[part] for part, seconds in rival.parts.items()}
    losses = sorted(((part, more[part]) for part in more if more[part] > 0), key=lambda loss: -loss[1])
    slower = rival.choice.seconds_per_token / best.choice.seconds_per_token - 1.0
    return RunnerUp(differences(rival.layout, best.layout), rival, slower, tuple(losses[:LOSSES_SHOWN]))


def differences(layout: Layout, other: Layout) -> dict[str, int | str]:
    """Values of ``layout`` on the axes where ``other`` has different ones."""
    names = (*COMPARED, "dp_shard", "dp_replicate")
    return {name: getattr(layout, name) for name in names if getattr(layout, name) != getattr(other, name)}


def choice_record(choice: Choice, tokens: float, power_is_known: bool) -> dict[str, Any]:
    """A choice as plain values, for ``tokens``."""
    return {
        "layout": choice.layout.model_dump(),
        "n_gpus": choice.n_gpus,
        "step_time_s": choice.step_time_s,
        "memory_bytes": choice.memory_bytes,
        "days": choice.seconds_per_token * tokens / 86_400.0,
        "cost_usd": choice.usd_per_token * tokens,
        "energy_joules": choice.joules_per_token * tokens if power_is_known else None,
    }
