"""Failures, drawn before anything is decided: the same ones for every policy, interval and number of spares.

Each (seed, replicate, cause, lot) has its own Philox stream, and event k takes row k of it, so changing one cause, one
replicate or the length of the run leaves all other draws where they were. Events of one cause and lot are a Poisson
process of the whole lot (superposition over its nodes); ages bend its clock (inverse of the cumulative hazard). Cost
grows with the number of events. A node keeps failing while it is repaired: the error is the share of nodes in repair.
"""

from dataclasses import dataclass, fields

import numpy as np

from kolossos.simulate.failures import CauseSpec, FailureSpec
from kolossos.simulate.fleet import Lot
from kolossos.simulate.piecewise import Array
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.spec import DAY_S, OperationSpec
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


def draw(scenario: Scenario, replicates: range) -> Draws:
    """All failures of the given replicates (numbered from 0 in the result)."""
    columns: list[tuple[Array, ...]] = []
    for index, lot in enumerate(scenario.lots):
        hazard = _Hazard(scenario.spec, lot)
        for number, cause in enumerate(scenario.causes.rows):
            for row, replicate in enumerate(replicates):
                stream = _Stream(scenario.spec.seed, replicate, f"{cause.name}/{index}")
                days, node, marks, z = _events(stream, cause, scenario.spec.failures, lot, hazard)
                found = -np.log1p(-marks[:, 4])
                origin = np.full(len(days), row), days * DAY_S, np.full(len(days), number)
                columns.append((*origin, node, marks[:, 2], marks[:, 3], z[:, 0], z[:, 1], z[:, 2], found, marks[:, 5]))
    joined = (
        [np.concatenate(column) for column in zip(*columns, strict=True)] if columns else [np.empty(0, np.int64)] * 11
    )
    draws = Draws(*joined)
    draws = draws.of(np.lexsort((draws.time_s, draws.replicate)))
    return _without_evicted(draws, scenario)


def draw_slow(scenario: Scenario, replicates: range) -> list[SlowDraws]:
    """Fail-slow episodes, one entry for each kind of ``spec.stragglers``."""
    spec, made = scenario.spec, []
    for kind in spec.stragglers.kinds:
        parts = []
        for index, lot in enumerate(scenario.lots):
            window = max(spec.days - lot.joins, 0.0)
            for row, replicate in enumerate(replicates):
                stream = _Stream(spec.seed, replicate, f"slow/{kind.name}/{index}")
                exposure = kind.per_1000_node_days / 1000.0 * lot.nodes * window
                gaps, marks = _poisson(stream, exposure, 1)
                times = (lot.joins + gaps / max(exposure, 1e-300) * window) * DAY_S
                lasting = lognormal(kind.duration_s, kind.duration_cv, stream.normal(len(marks), 1)[:, 0])
                parts.append((np.full(len(times), row), times, lasting))
        made.append(SlowDraws(*(np.concatenate(column) for column in zip(*parts, strict=True))))
    return made


def draw_pace(spec: OperationSpec, replicates: range) -> Array:
    """Factor on the promised speed of each replicate, from the bounds (5 and 95 %) of the step time."""
    low, high = spec.step.time_low_s, spec.step.time_high_s
    if low is None or high is None:
        return np.ones(len(replicates))
    z = np.array([_Stream(spec.seed, replicate, "step time").normal(1, 1)[0, 0] for replicate in replicates])
    return np.exp(-np.log(high / low) / 2 / 1.6449 * z)


class _Stream:
    """Two row-wise sources that belong to one (seed, replicate, name) alone."""

    def __init__(self, seed: int, replicate: int, name: str) -> None:
        self._key = seed, replicate, name
        self._uniform = counted_generator(seed, replicate, name)

    def uniform(self, n: int, width: int) -> Array:
        """The next ``n`` rows of uniforms."""
        return self._uniform.random((n, width))

    def normal(self, n: int, width: int) -> Array:
        """The first ``n`` rows of standard normals."""
        return counted_generator(*self._key, 1).standard_normal((n, width))


def _events(
    stream: _Stream, cause: CauseSpec, failures: FailureSpec, lot: Lot, hazard: "_Hazard"
) -> tuple[Array, Array, Array, Array]:
    """Days, nodes, uniform marks and normals of a cause's failures in a lot."""
    rate_per_day = cause.per_1000_node_days / 1000.0 * lot.nodes + (cause.per_day if lot.first_node == 0 else 0.0)
    clock, marks = _poisson(stream, rate_per_day * hazard.total, 6)
    if failures.spacing == "even":
        first = stream.uniform(1, 1)[0, 0]
        clock = first + np.arange(max(int(np.ceil(rate_per_day * hazard.total - first)), 0))
        marks = stream.uniform(len(clock), 6)
    days = hazard.day_of(clock / rate_per_day) if rate_per_day else clock
    return days, lot.first_node + _node(failures, marks[:, 1], lot.nodes), marks, stream.normal(len(days), 3)


def _poisson(stream: _Stream, exposure: float, width: int) -> tuple[Array, Array]:
    """Events of a unit-rate Poisson process on [0, exposure), with the ``width`` uniforms of each event's row."""
    rows = stream.uniform(int(exposure + 6 * np.sqrt(exposure) + 8), width)
    times = np.cumsum(-np.log1p(-rows[:, 0]))
    while times[-1] < exposure:
        more = stream.uniform(len(rows), width)
        rows = np.concatenate((rows, more))
        times = np.concatenate((times, times[-1] + np.cumsum(-np.log1p(-more[:, 0]))))
    n = int(np.searchsorted(times, exposure))
    return times[:n], rows[:n]


class _Hazard:
    """A lot's cumulative hazard over the run, relative to its table rate: early life, plateau, wear-out."""

    def __init__(self, spec: OperationSpec, lot: Lot) -> None:
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


def _without_evicted(draws: Draws, scenario: Scenario) -> Draws:
    """Drop failures of lemons already replaced; a replacement fails as rarely as any node (thinned, by the mark)."""
    failures = scenario.spec.failures
    if failures.lemon_evict_after is None or not failures.lemon_share:
        return draws
    lemon = np.zeros(len(draws.node), bool)
    for lot in scenario.lots:
        last = lot.first_node + round(failures.lemon_share * lot.nodes)
        lemon |= (draws.node >= lot.first_node) & (draws.node < last)
    nodes = sum(lot.nodes for lot in scenario.lots)
    where = np.flatnonzero(lemon)
    order = where[np.lexsort((draws.time_s[where], draws.node[where], draws.replicate[where]))]
    group = draws.replicate[order] * nodes + draws.node[order]
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    keep = np.ones(len(lemon), bool)
    keep[order] = (rank < failures.lemon_evict_after) | (draws.thin[order] < 1.0 / failures.lemon_factor)
    return draws.of(keep)
