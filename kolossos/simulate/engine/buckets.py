"""Where every GPU-second goes: exactly one bucket each, so that the buckets add up to the fleet's time."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kolossos.simulate.engine.draw import SlowDraws
from kolossos.simulate.engine.segments import Segments
from kolossos.simulate.engine.stops import END, GROWTH, MAINTENANCE, Outages, Stops
from kolossos.simulate.fleet import phase_on
from kolossos.simulate.piecewise import Array, Axis, StepFunction, largest
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.spec import DAY_S, OperationSpec

BUCKETS = {
    "productive": "steps that count",
    "checkpoint": "blocked by a checkpoint",
    "detection": "failed, not yet noticed or diagnosed",
    "waiting": "waiting for spares or repairs",
    "restart": "restart and reload",
    "lost_work": "work lost and done again",
    "sdc": "work lost to silent corruption",
    "straggler": "slowed down by the slowest",
    "power_cap": "slowed down by the site's power limit",
    "degraded": "healthy, but its replica is out",
    "maintenance": "planned maintenance",
    "growth": "reconfiguration for growth",
    "spare": "idle spares",
    "repair": "broken, in repair",
    "not_joined": "delivered, not yet in the job",
    "not_arrived": "ordered, not yet delivered",
}


@dataclass(frozen=True)
class Accounts:
    """GPU-seconds by replicate and bucket, and what came of them."""

    gpu_s: dict[str, Array]
    busy_gpu_s: Array
    """GPU-seconds of computing, kept or not, by replicate and phase of the fleet."""
    on_gpu_s: Array
    """GPU-seconds of all GPUs that are switched on: those in the fleet and not in repair."""
    tokens: Array
    effective_s: Array
    """Wall time of computing that was kept, whatever its speed."""
    curve_keys: Array
    curve_tokens: Array
    """Tokens kept, summed over replicates on the axis, at ``curve_keys``."""


@dataclass(frozen=True)
class _Levels:
    """GPUs in each standing, over time."""

    staffed: StepFunction
    active: StepFunction
    spare: StepFunction
    broken: StepFunction


def slowdown_of(spec: OperationSpec, axis: Axis, slow: list[SlowDraws]) -> StepFunction:
    """Share of speed lost at each time to the worst straggler."""
    functions, losses = [], []
    for kind, episodes in zip(spec.stragglers.kinds, slow, strict=True):
        start = axis.key(episodes.replicate, episodes.time_s)
        end = axis.key(episodes.replicate, episodes.time_s + episodes.duration_s)
        functions.append(StepFunction.from_intervals(start, end))
        losses.append(1.0 - 1.0 / kind.slowdown)
    return largest(functions, losses)


def accounts_of(
    scenario: Scenario, axis: Axis, stops: Stops, outages: Outages, segments: Segments, slow: StepFunction
) -> Accounts:
    """Every GPU-second of the horizon into its bucket."""
    spec, levels = scenario.spec, _levels(scenario, axis, outages)
    book = {name: np.zeros(axis.n_replicates) for name in BUCKETS}
    _stopped(book, axis, stops, levels.staffed)
    work = _running(book, scenario, segments, slow, levels)
    book["spare"] += levels.spare.between(axis.starts, axis.ends)
    book["repair"] += levels.broken.between(axis.starts, axis.ends)
    for lot in scenario.lots:
        book["not_arrived"] += min(lot.day, spec.days) * DAY_S * lot.gpus
        book["not_joined"] += (min(lot.joins, spec.days) - min(lot.day, spec.days)) * DAY_S * lot.gpus
    total = np.cumsum(np.concatenate(([0.0], work.tokens)))
    keys = np.ravel(np.column_stack((segments.start, segments.kept_until)))
    curve = np.ravel(np.column_stack((total[:-1], total[1:])))
    phases = len(scenario.phases)
    busy = np.bincount(segments.replicate * phases + segments.phase, work.busy_gpu_s, axis.n_replicates * phases)
    bounds = [*(axis.starts + phase.start_s for phase in scenario.phases), axis.ends]
    on = [levels.staffed.between(first, last) + levels.spare.between(first, last) for first, last in pairwise(bounds)]
    return Accounts(
        gpu_s=book,
        busy_gpu_s=busy.reshape(axis.n_replicates, phases),
        on_gpu_s=np.stack(on, axis=1),
        tokens=np.bincount(segments.replicate, work.tokens, axis.n_replicates),
        effective_s=np.bincount(segments.replicate, work.effective_s, axis.n_replicates),
        curve_keys=keys,
        curve_tokens=curve,
    )


@dataclass(frozen=True)
class _Work:
    """What each segment delivers."""

    tokens: Array
    effective_s: Array
    busy_gpu_s: Array


def _levels(scenario: Scenario, axis: Axis, outages: Outages) -> _Levels:
    """How many GPUs are in the job, active, spare or broken at each time."""
    fleet = scenario.phases
    bounds = [axis.starts + phase.start_s for phase in fleet]
    keys = np.unique(np.concatenate((outages.broken_nodes.keys, outages.replicas_down.keys, *bounds, axis.ends)))
    phase = phase_on(fleet, axis, keys)
    here = keys < axis.ends[axis.replicate(keys)]
    nodes, job, spares = (
        np.array([getattr(p, name) for p in fleet])[phase] * here for name in ("nodes", "job_nodes", "spare_nodes")
    )
    broken = np.minimum(outages.broken_nodes.at(keys), nodes)
    spare = np.maximum(spares - broken, 0)
    staffed = nodes - broken - spare
    active = np.minimum(staffed, job * _speed(scenario, outages.replicas_down.at(keys)))
    gpus = scenario.spec.fleet.gpus_per_node
    return _Levels(*(StepFunction(keys, values * gpus) for values in (staffed, active, spare, broken)))


def _speed(scenario: Scenario, down: Array) -> Array:
    """Share of the job's speed with ``down`` replicas out.

    With the whole batch kept, each of the living computes a whole number of shares, the most of them sets the pace.
    """
    replicas = scenario.spec.recovery.replicas
    living = np.maximum(replicas - np.round(down), 0.0)
    if scenario.spec.recovery.batch == "shrinks":
        return np.maximum(1.0 - down / replicas, 0.0)
    return np.divide(1.0, np.ceil(replicas / np.maximum(living, 1.0)), out=np.zeros(len(down)), where=living > 0)


def _stopped(book: dict[str, Array], axis: Axis, stops: Stops, staffed: StepFunction) -> None:
    """Book the time between a stop and the moment the job runs again (or stops anew)."""
    follows = stops.kind[:-1] != END
    at, kind = stops.at[:-1][follows], stops.kind[:-1][follows]
    until = np.minimum(np.maximum.accumulate(stops.ready)[:-1], stops.at[1:])[follows]
    noticed = np.minimum(stops.noticed[:-1][follows], until)
    waited = np.clip(stops.waited[:-1][follows], noticed, until)
    row = axis.replicate(at)
    planned = (kind == MAINTENANCE) | (kind == GROWTH)

    def enter(bucket: str, rows: Array, start: Array, end: Array) -> None:
        gpu_s = staffed.between(start[rows], end[rows])
        book[bucket] += np.bincount(row[rows], gpu_s, axis.n_replicates)

    enter("detection", ~planned, at, noticed)
    enter("checkpoint", planned, at, noticed)
    enter("maintenance", kind == MAINTENANCE, noticed, waited)
    enter("growth", kind == GROWTH, noticed, until)
    enter("waiting", ~planned, noticed, waited)
    enter("restart", kind != GROWTH, waited, until)


def _running(
    book: dict[str, Array], scenario: Scenario, segments: Segments, slow: StepFunction, levels: _Levels
) -> _Work:
    """Book the time in which the job runs."""
    s, fleet = segments, scenario.phases
    n = len(book["productive"])
    kept_wall, tail_wall = s.kept_until - s.start, s.end - s.kept_until
    kept_staffed = levels.staffed.between(s.start, s.kept_until)
    kept_active = levels.active.between(s.start, s.kept_until)
    tail_staffed = levels.staffed.between(s.kept_until, s.end)
    tail_active = levels.active.between(s.kept_until, s.end)

    def share(part: Array, whole: Array) -> Array:
        return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)

    computing = share(s.kept_compute_s, kept_wall)
    tail_computing = share(s.compute_s - s.kept_compute_s, tail_wall)
    undone = share(s.undone.between(s.start, s.kept_until), kept_wall)
    by_sdc = share(s.undone_by_sdc.between(s.start, s.kept_until), kept_wall)
    always = 1.0 - 1.0 / scenario.spec.stragglers.always
    lost_speed = 1.0 - (1.0 - share(slow.between(s.start, s.kept_until), kept_wall)) * (1.0 - always)
    power = np.array([phase.power_factor for phase in fleet])[s.phase]

    work = kept_active * computing
    tail = tail_active * tail_computing
    sound = work * (1.0 - undone)
    quick = sound * (1.0 - lost_speed)
    productive = quick * power
    entries = {
        "degraded": kept_staffed - kept_active + tail_staffed - tail_active,
        "checkpoint": kept_active * (1.0 - computing) + tail_active * (1.0 - tail_computing),
        "lost_work": tail + work * (undone - by_sdc),
        "sdc": work * by_sdc,
        "straggler": sound - quick,
        "power_cap": quick - productive,
        "productive": productive,
    }
    for bucket, gpu_s in entries.items():
        book[bucket] += np.bincount(s.replicate, gpu_s, n)
    per_node = scenario.spec.fleet.gpus_per_node
    rates = np.array([p.tokens_per_s / (p.job_nodes * per_node) for p in fleet])[s.phase]
    return _Work(productive * rates, s.kept_compute_s * (1.0 - undone), work + tail)
