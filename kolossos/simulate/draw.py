"""Failures, drawn before anything is decided: the same ones for every policy, interval and number of spares.

Each (seed, replicate, cause, lot) has its own Philox stream, and event k takes row k of it, so changing one cause, one
replicate or the length of the run leaves all other draws where they were. Events of one cause and lot are a Poisson
process of the whole lot (superposition over its nodes); ages bend its clock (inverse of the cumulative hazard). Cost
grows with the number of events. A node keeps failing while it is repaired: the error is the share of nodes in repair.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from kolossos.simulate.phases import lots
from kolossos.simulate.piecewise import Array
from kolossos.simulate.spec import DAY_S, LotSpec, OperationSpec
from kolossos.simulate.spec_failures import CauseSpec, FailureSpec
from kolossos.streams import counted_generator


@dataclass(frozen=True)
class Draws:
    """Failures of all replicates, by replicate and time. ``node`` counts through all lots."""

    replicate: Array
    time_s: Array
    cause: Array
    node: Array
    hit: Array
    """Uniform: below the job's share of the fleet, the failed node is one of the job's."""
    person: Array
    detect_z: Array
    repair_z: Array
    restart_z: Array
    found_e: Array
    """Standard exponential: how long a silent failure stays unseen, over its mean."""
    thin: Array
    """Uniform: whether the replacement of an evicted lemon fails in the lemon's place."""

    def of(self, keep: Array) -> "Draws":
        """The selected events."""
        return Draws(**{f.name: getattr(self, f.name)[keep] for f in fields(self)})


@dataclass(frozen=True)
class SlowDraws:
    """Fail-slow episodes of one kind."""

    replicate: Array
    time_s: Array
    duration_s: Array


def lognormal(mean: Array | float, cv: Array | float, z: Array) -> Array:
    """A log-normal value of that mean and coefficient of variation, from a standard normal."""
    variance = np.log1p(np.square(cv))
    return mean * np.exp(np.sqrt(variance) * z - variance / 2)


def causes_of(spec: OperationSpec) -> list[CauseSpec]:
    """The causes with every factor applied, ``job_mtbf_s`` included."""
    causes = spec.failures.resolved()
    if spec.failures.job_mtbf_s is None:
        return causes
    first = sum(lot.gpus for lot in lots(spec) if lot.joins == 0)
    per_day = sum(c.per_1000_node_days for c in causes) * (first // spec.fleet.gpus_per_node) / 1000.0
    factor = DAY_S / spec.failures.job_mtbf_s / per_day if per_day else 0.0
    return [c.model_copy(update={"per_1000_node_days": c.per_1000_node_days * factor}) for c in causes]


def draw(spec: OperationSpec, replicates: range) -> Draws:
    """All failures of the given replicates (numbered from 0 in the result)."""
    columns: list[tuple[Array, ...]] = []
    causes = causes_of(spec)
    first_node = 0
    for index, lot in enumerate(lots(spec)):
        nodes = lot.gpus // spec.fleet.gpus_per_node
        hazard = _Hazard(spec, lot)
        for number, cause in enumerate(causes):
            rate = cause.per_1000_node_days / 1000.0 * nodes
            name = f"{cause.name}/{index}"
            for row, replicate in enumerate(replicates):
                columns.append(_events(spec, replicate, name, rate, hazard, row, number, nodes, first_node))
        first_node += nodes
    joined = [np.concatenate(column) for column in zip(*columns, strict=True)] if columns else [np.empty(0)] * 11
    draws = Draws(*joined)
    draws = draws.of(np.lexsort((draws.time_s, draws.replicate)))
    return _without_evicted(draws, spec)


def draw_slow(spec: OperationSpec, replicates: range) -> list[SlowDraws]:
    """Fail-slow episodes, one entry for each kind of ``spec.stragglers``."""
    made = []
    for kind in spec.stragglers.kinds:
        parts = []
        for index, lot in enumerate(lots(spec)):
            nodes = lot.gpus // spec.fleet.gpus_per_node
            window = max(spec.days - lot.joins, 0.0)
            for row, replicate in enumerate(replicates):
                uniform, normal = _rows(spec.seed, replicate, f"slow/{kind.name}/{index}")
                exposure = kind.per_1000_node_days / 1000.0 * nodes * window
                gaps, marks = _poisson(uniform, exposure, 1)
                times = (lot.joins + gaps / max(exposure, 1e-300) * window) * DAY_S
                lasting = lognormal(kind.duration_s, kind.duration_cv, normal(len(marks), 1)[:, 0])
                parts.append((np.full(len(times), row), times, lasting))
        made.append(SlowDraws(*(np.concatenate(column) for column in zip(*parts, strict=True))))
    return made


def draw_pace(spec: OperationSpec, replicates: range) -> Array:
    """Factor on the promised speed of each replicate, from the bounds (5 and 95 %) of the step time."""
    low, high = spec.step.time_low_s, spec.step.time_high_s
    if low is None or high is None:
        return np.ones(len(replicates))
    z = np.array([_rows(spec.seed, replicate, "step time")[1](1, 1)[0, 0] for replicate in replicates])
    return np.exp(-np.log(high / low) / 2 / 1.6449 * z)


def _events(
    spec: OperationSpec,
    replicate: int,
    name: str,
    rate_per_day: float,
    hazard: "_Hazard",
    row: int,
    cause: int,
    nodes: int,
    first_node: int,
) -> tuple[Array, ...]:
    uniform, normal = _rows(spec.seed, replicate, name)
    clock, marks = _poisson(uniform, rate_per_day * hazard.total, 6)
    days = hazard.day_of(clock / rate_per_day) if rate_per_day else clock
    z = normal(len(days), 3)
    node = first_node + _node(spec.failures, marks[:, 1], nodes)
    found = -np.log1p(-marks[:, 4])
    origin = np.full(len(days), row), days * DAY_S, np.full(len(days), cause)
    return *origin, node, marks[:, 2], marks[:, 3], z[:, 0], z[:, 1], z[:, 2], found, marks[:, 5]


Rows = Callable[[int, int], Array]


def _rows(seed: int, replicate: int, name: str) -> tuple[Rows, Rows]:
    """Two row-wise sources (uniform, normal) that belong to this stream alone."""
    source = counted_generator(seed, replicate, name)
    return lambda n, width: source.random((n, width)), lambda n, width: counted_generator(
        seed, replicate, name, 1
    ).standard_normal((n, width))


def _poisson(uniform: Rows, exposure: float, width: int) -> tuple[Array, Array]:
    """Events of a unit-rate Poisson process on [0, exposure), with the ``width`` uniforms of each event's row."""
    rows = uniform(int(exposure + 6 * np.sqrt(exposure) + 8), width)
    times = np.cumsum(-np.log1p(-rows[:, 0]))
    while times[-1] < exposure:
        more = uniform(len(rows), width)
        rows = np.concatenate((rows, more))
        times = np.concatenate((times, times[-1] + np.cumsum(-np.log1p(-more[:, 0]))))
    n = int(np.searchsorted(times, exposure))
    return times[:n], rows[:n]


class _Hazard:
    """A lot's cumulative hazard over the run, relative to its table rate: early life, plateau, wear-out."""

    def __init__(self, spec: OperationSpec, lot: LotSpec) -> None:
        failures = spec.failures
        self.first_day = lot.day
        self.flat = failures.early_life_factor == 0 and failures.wear_out_factor == 0
        age = spec.fleet.age_days if lot.day == 0 else 0.0
        self.days = np.linspace(0.0, max(spec.days - lot.day, 0.0), 2 if self.flat else 4001)
        self.clock = _cumulative(failures, age + self.days) - _cumulative(failures, np.array([age]))

    @property
    def total(self) -> float:
        """Equivalent days at the table's rate."""
        return float(self.clock[-1])

    def day_of(self, clock: Array) -> Array:
        """The day of the run at which so much hazard has passed."""
        return self.first_day + (clock if self.flat else np.interp(clock, self.clock, self.days))


def _cumulative(failures: FailureSpec, age: Array) -> Array:
    """Integral of 1 + f exp(-age / d) + w max(0, age - onset) / year, in days."""
    early = failures.early_life_factor * failures.early_life_days * -np.expm1(-age / failures.early_life_days)
    worn = np.maximum(age - failures.wear_out_after_days, 0.0)
    return age + early + failures.wear_out_factor * worn**2 / 2 / 365.0


def _node(failures: FailureSpec, uniform: Array, nodes: int) -> Array:
    """Which node of the lot failed. The first ``lemon_share`` of the nodes are the lemons; the mean rate stays."""
    lemons = round(failures.lemon_share * nodes)
    share = lemons * failures.lemon_factor / (nodes - lemons + lemons * failures.lemon_factor)
    if not lemons:
        return (uniform * nodes).astype(np.int64)
    of_lemon = uniform / share * lemons
    of_rest = lemons + (uniform - share) / (1.0 - share) * (nodes - lemons)
    return np.where(uniform < share, of_lemon, of_rest).astype(np.int64)


def _without_evicted(draws: Draws, spec: OperationSpec) -> Draws:
    """Drop failures of lemons already replaced; a replacement fails as rarely as any node (thinned, by the mark)."""
    failures = spec.failures
    if failures.lemon_evict_after is None or not failures.lemon_share:
        return draws
    lemon = np.zeros(len(draws.node), bool)
    first = 0
    for lot in lots(spec):
        nodes = lot.gpus // spec.fleet.gpus_per_node
        lemon |= (draws.node >= first) & (draws.node < first + round(failures.lemon_share * nodes))
        first += nodes
    where = np.flatnonzero(lemon)
    order = where[np.lexsort((draws.time_s[where], draws.node[where], draws.replicate[where]))]
    group = draws.replicate[order] * first + draws.node[order]
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    keep = np.ones(len(lemon), bool)
    keep[order] = (rank < failures.lemon_evict_after) | (draws.thin[order] < 1.0 / failures.lemon_factor)
    return draws.of(keep)
