"""A cluster of several kinds of GPU: how one model is split over them, and what each kind contributes.

Three ways. *Data-parallel shares*: every kind runs whole replicas of one layout, with as many micro-batches a step as
its speed allows, its own micro-batch and recompute. *Pipeline stages*: each replica runs through all kinds, with layers
a stage by speed (``mixed_stages``). *Islands*: each kind trains with its own best layout and they meet seldom; that is
another algorithm (DiLoCo, arXiv:2311.08105), so its figure stands beside the others and never wins by itself.
"""

from dataclasses import dataclass, replace

from kolossos.plan.job import Job
from kolossos.plan.mixed.contribution import Contribution
from kolossos.plan.mixed.shares import shares_of
from kolossos.plan.mixed.stages import stages_of
from kolossos.plan.search.layout_parts import price_layouts
from kolossos.plan.search.prices import Choice, Found
from kolossos.plan.search.search import search
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.layout import Layout

CANDIDATES = 40
"""Layouts of one kind that the whole cluster is tried with."""


@dataclass(frozen=True)
class MixedPlan:
    """One way to split the work. ``synchronous`` is false where the parts are not one step of one model."""

    how: str
    step_time_s: float
    tokens_per_step: float
    contributions: list[Contribution]
    synchronous: bool = True

    @property
    def seconds_per_token(self) -> float:
        """Seconds of the clock for each token."""
        return self.step_time_s / self.tokens_per_step

    @property
    def n_gpus(self) -> int:
        """GPUs that work."""
        return sum(part.n_gpus for part in self.contributions)


@dataclass(frozen=True)
class Mixed:
    """All ways that were tried, best first among those of one step, and the searches of each kind alone."""

    plans: list[MixedPlan]
    alone: list[Found]

    @property
    def best(self) -> MixedPlan | None:
        """The fastest way that is one step of one model; None where nothing fits."""
        return next((plan for plan in self.plans if plan.synchronous), None)


def plan_mixed(jobs: list[Job], objective: str = "time") -> Mixed:
    """Try all ways on the pools of ``jobs`` (one job for each kind, with the batch of the whole cluster), in a
    precision that every kind has."""
    shared = tuple(p for p in jobs[0].precisions if all(p in job.precisions for job in jobs))
    # stages of several kinds each have a layer at least
    jobs = [replace(job, precisions=shared, empty_chunks=False) for job in jobs]
    whole = sum(job.n_gpus for job in jobs)
    alone = [search(replace(job, batch=max(job.batch * job.n_gpus / whole, 1.0)), objective) for job in jobs]
    candidates = _candidates(alone)
    plans = _islands(jobs, alone)
    largest = max(jobs, key=lambda job: job.n_gpus * job.gpu.peak("bf16"))
    if found := shares_of([largest], candidates):
        plans.append(MixedPlan(f"{largest.gpu.name} alone", *found))
    if found := shares_of(jobs, candidates):
        plans.append(MixedPlan("data-parallel shares", *found))
    if found := stages_of(jobs, candidates):
        plans.append(MixedPlan("pipeline stages", *found))
    return Mixed(sorted(plans, key=lambda plan: plan.seconds_per_token), alone)


def _candidates(alone: list[Found]) -> list[Layout]:
    """Good layouts of any kind alone: the fronts' fastest, and the best for each value of each axis."""
    choices = [choice for found in alone for choice in [*found.front, *found.by_axis.values()]]
    choices.sort(key=lambda choice: choice.seconds_per_token)
    seen: dict[tuple, Layout] = {}
    for choice in choices:
        layout = choice.layout
        key = (layout.tp, layout.pp, layout.vp, layout.cp, layout.ep, layout.etp, layout.schedule)
        seen.setdefault((*key, layout.precision, layout.sharding), layout)
    return list(seen.values())[:CANDIDATES]


def _islands(jobs: list[Job], alone: list[Found]) -> list[MixedPlan]:
    if any(found.best is None for found in alone):
        return []
    best = [found.best for found in alone if found.best]
    rate = sum(1.0 / choice.seconds_per_token for choice in best)
    slowest = max(choice.step_time_s for choice in best)
    parts = [
        _contribution(job, choice, 1.0 / choice.seconds_per_token / rate)
        for job, choice in zip(jobs, best, strict=True)
    ]
    return [MixedPlan("islands", slowest, slowest * rate, parts, synchronous=False)]


def _contribution(job: Job, choice: Choice, share: float) -> Contribution:
    priced = price_layouts(job, [choice.layout])[0]
    return Contribution(
        gpu=job.gpu.name,
        n_gpus=choice.n_gpus,
        n_idle=job.n_gpus - choice.n_gpus,
        layout=choice.layout,
        share_of_tokens=share,
        step_time_s=choice.step_time_s,
        busy_share=priced.busy_share,
        memory_bytes=choice.memory_bytes,
        memory_of=job.gpu.memory_bytes,
        parts=priced.parts,
    )


def mixed_mfu(jobs: list[Job], plan: MixedPlan) -> float:
    """Model FLOPs over the peak of all cards that work, each in the precision it multiplies in."""
    cards = {job.gpu.name: job.gpu for job in jobs}
    peak = sum(part.n_gpus * cards[part.gpu].peak(part.layout.precision) for part in plan.contributions)
    flops = training_flops_per_token(jobs[0].model, jobs[0].seq_len)
    return flops * plan.tokens_per_step / plan.step_time_s / peak
