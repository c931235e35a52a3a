"""From failures to stops: when the job stands still, what it waits for, and when it could run again.

A stop is *ready* when detection, person, spare and restart are over; a failure during a recovery starts it again, so
the job runs from the latest ready time of all stops so far. A spare is served to the oldest failure first: the k-th
node lost finds one when the (k - spares)-th node has come back.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.simulate.draw import Draws, causes_of, lognormal
from kolossos.simulate.phases import Phase, phase_at
from kolossos.simulate.piecewise import Array, Axis, StepFunction, union
from kolossos.simulate.spec import DAY_S, OperationSpec

START, CRASH, MAINTENANCE, GROWTH, REJOIN, END = range(6)
NONE = -1.0


@dataclass(frozen=True)
class Stops:
    """All stops of all replicates, sorted by key. Keys lie on the axis; -1: does not apply."""

    at: Array
    kind: Array
    noticed: Array
    """When detection (of a crash) or the last checkpoint (of a planned stop) is over."""
    waited: Array
    """When person, spare or repair have come, or the window is over."""
    ready: Array
    fine: Array
    """Whether the newest checkpoint of any tier can be used."""
    corrupt_since: Array
    """Key since which results are wrong, for silent failures."""
    cause: Array
    phase: Array


@dataclass(frozen=True)
class Outages:
    """What is missing of the fleet over time."""

    broken_nodes: StepFunction
    replicas_down: StepFunction


@dataclass(frozen=True)
class _Failures:
    """Failures that touch the fleet in the job's time, with their durations, by key."""

    at: Array
    replicate: Array
    cause: Array
    node: Array
    phase: Array
    stops_job: Array
    corrupt_since: Array
    detect_s: Array
    repair_s: Array
    restart_z: Array
    nodes_lost: Array


def stops_of(spec: OperationSpec, fleet: list[Phase], axis: Axis, draws: Draws) -> tuple[Stops, Outages]:
    """All stops, planned ones included, and the outages behind them."""
    failures = _failures(spec, fleet, axis, draws)
    back = failures.at + np.minimum(failures.repair_s, axis.horizon_s)
    back = np.minimum(back, axis.ends[failures.replicate])
    broken = StepFunction.from_intervals(failures.at, back, failures.nodes_lost)
    spare_at = _spare_at(fleet, axis, failures, back)
    crashes, down = _crashes(spec, fleet, axis, failures, back, spare_at)
    parts = [crashes, *_planned(spec, fleet, axis)]
    if spec.recovery.policy == "shrink-and-heal" and spec.recovery.rejoin_stall_s:
        parts.append(_rejoins(spec, axis, down))
    return _merged(parts, axis), Outages(broken, down)


def _failures(spec: OperationSpec, fleet: list[Phase], axis: Axis, draws: Draws) -> _Failures:
    causes = causes_of(spec)
    last_node = np.array([phase.nodes for phase in fleet])
    column = {name: np.array([getattr(c, name) for c in causes])[draws.cause] for name in ("detect_s", "repair_s")}
    for name, given in (("detect_s", spec.recovery.detect_s), ("repair_s", spec.recovery.repair_s)):
        if given is not None:
            column[name] = np.full(len(draws.cause), given)
    cv = np.array([c.cv for c in causes])[draws.cause]
    detect = lognormal(column["detect_s"], cv if spec.recovery.detect_s is None else 0.0, draws.detect_z)
    repair = lognormal(column["repair_s"], cv if spec.recovery.repair_s is None else 0.0, draws.repair_z)
    detect = detect + (draws.person < np.array([c.person_share for c in causes])[draws.cause]) * spec.recovery.person_s

    phase = phase_at(fleet, draws.time_s)
    joined = draws.node < last_node[phase]  # GPUs delivered but not yet in the job stand by, switched off
    scope = np.array([c.scope for c in causes])[draws.cause]
    share = np.array([p.job_nodes / p.nodes for p in fleet])[phase]
    stops_job = np.isin(scope, ("job", "fabric", "site")) | (draws.hit < share)
    silent_s = np.array([c.found_after_s for c in causes])[draws.cause] * draws.found_e * stops_job
    found = draws.time_s + silent_s
    keep = joined & (found < axis.horizon_s)
    corrupt = np.where(silent_s > 0, axis.key(draws.replicate, draws.time_s), NONE)
    if spec.recovery.spare_nodes is None:  # a node from outside stands in at once; fabric and site still take repair
        repair = np.where(np.isin(scope, ("fabric", "site")), repair, 0.0)
    lost = np.where(scope == "rack", spec.fleet.nodes_per_rack, np.isin(scope, ("gpu", "node")))
    at = axis.key(draws.replicate, found)
    order = np.flatnonzero(keep)[np.argsort(at[keep], kind="stable")]
    phase = phase_at(fleet, found)
    values = (at, draws.replicate, draws.cause, draws.node, phase, stops_job, corrupt, detect, repair)
    return _Failures(*(v[order] for v in (*values, draws.restart_z, lost.astype(np.int64))))


def _spare_at(fleet: list[Phase], axis: Axis, failures: _Failures, back: Array) -> Array:
    """Key at which a whole node stands in for each failed one (first lost, first served)."""
    lost = failures.nodes_lost
    returns = np.sort(np.repeat(back, lost))
    per_replicate = np.bincount(failures.replicate, weights=lost, minlength=axis.n_replicates).astype(np.int64)
    base = np.concatenate(([0], np.cumsum(per_replicate)[:-1])).astype(np.int64)
    count = np.cumsum(lost) - base[failures.replicate]
    short = count - np.array([phase.spare_nodes for phase in fleet])[failures.phase]
    wait = (short > 0) & (lost > 0)
    place = np.clip(base[failures.replicate] + short - 1, 0, max(len(returns) - 1, 0))
    return np.where(wait, np.maximum(returns[place] if len(returns) else failures.at, failures.at), failures.at)


def _crashes(
    spec: OperationSpec, fleet: list[Phase], axis: Axis, failures: _Failures, back: Array, spare_at: Array
) -> tuple[Stops, StepFunction]:
    recovery = spec.recovery
    scope = np.array([c.scope for c in causes_of(spec)])[failures.cause]
    silent = failures.corrupt_since >= 0
    near = np.isin(scope, ("job", "gpu", "node")) & ~silent
    noticed = failures.at + failures.detect_s
    whole = np.isin(scope, ("fabric", "site"))
    waited = np.maximum(np.maximum(noticed, spare_at), np.where(whole, back, noticed))
    load = spec.checkpoint.bytes / spec.checkpoint.store_bytes_per_s if recovery.load_s is None else recovery.load_s
    cold = np.array([phase.cold_start_s for phase in fleet])[failures.phase]
    restart = cold + load
    down = StepFunction(np.empty(0), np.empty(0))
    if recovery.policy == "store":
        near = np.ones(len(near), bool)
    elif recovery.policy == "peer-memory":
        restart = np.where(near, cold + recovery.peer_load_s, restart)
    elif recovery.policy == "in-process":
        restart = np.where(near, recovery.in_process_s + recovery.peer_load_s, restart)
    else:
        near = ~whole & ~silent
        down = _replicas_down(spec, fleet, axis, failures, np.where(near, waited, noticed))
        over = _too_few(spec, axis, down, failures)
        waited = np.where(near, np.maximum(noticed, over), waited)
        restart = np.where(near, recovery.stall_s, restart)
    restart = lognormal(restart, recovery.restart_cv, failures.restart_z)
    keep = failures.stops_job & ~_in_window(spec, axis, failures)
    columns = (failures.at, np.full(len(cold), CRASH), noticed, waited, waited + restart, near)
    stops = Stops(*(c[keep] for c in (*columns, failures.corrupt_since, failures.cause, failures.phase)))
    return stops, down


def _replicas_down(
    spec: OperationSpec, fleet: list[Phase], axis: Axis, failures: _Failures, healthy: Array
) -> StepFunction:
    """How many replicas are out, each counted once however many of its nodes have failed."""
    recovery = spec.recovery
    hit = failures.stops_job & (failures.nodes_lost > 0)
    nodes = np.array([phase.nodes for phase in fleet])[failures.phase]
    replica = np.minimum(failures.node * recovery.replicas // nodes, recovery.replicas - 1)[hit]
    row = failures.replicate[hit]
    start = failures.at[hit]
    end = np.minimum(healthy[hit] + recovery.replica_restart_s, axis.ends[row])
    lane = axis.stride * axis.n_replicates  # each replica of the job gets an axis of its own, then all are folded back
    starts, ends = union(start + replica * lane, end + replica * lane)
    return StepFunction.from_intervals(starts % lane, ends % lane)


def _too_few(spec: OperationSpec, axis: Axis, down: StepFunction, failures: _Failures) -> Array:
    """Key until which fewer than ``min_replicas`` run, at each failure; the failure's own key if enough do."""
    allowed = spec.recovery.replicas - spec.recovery.min_replicas
    short = StepFunction(down.keys, (down.values > allowed + 0.5).astype(float))
    falling = short.keys[np.diff(short.values, prepend=0.0) < 0]
    if not len(falling):
        return failures.at
    now = failures.at + 1e-3  # the failure's own replica is down by then, whatever the rounding of folded axes
    after = falling[np.minimum(np.searchsorted(falling, now, side="right"), len(falling) - 1)]
    return np.where(short.at(now) > 0, np.minimum(after, axis.ends[failures.replicate]), failures.at)


def _in_window(spec: OperationSpec, axis: Axis, failures: _Failures) -> Array:
    """Whether a failure falls into a maintenance window, when nothing runs that it could stop."""
    if spec.maintenance.every_days is None:
        return np.zeros(len(failures.at), bool)
    time = failures.at - axis.starts[failures.replicate]
    period = spec.maintenance.every_days * DAY_S
    return (time >= period) & (time % period < spec.maintenance.duration_s)


def _planned(spec: OperationSpec, fleet: list[Phase], axis: Axis) -> list[Stops]:
    """Start, end, growth and maintenance of every replicate."""
    saving = spec.checkpoint.blocking + spec.checkpoint.background
    load = spec.checkpoint.bytes / spec.checkpoint.store_bytes_per_s
    load = load if spec.recovery.load_s is None else spec.recovery.load_s

    def stop(time: float, kind: int, saved: float, window: float, restart: float) -> Stops:
        at = axis.key(np.arange(axis.n_replicates), np.full(axis.n_replicates, time))
        phase = np.full(len(at), int(phase_at(fleet, np.array(time))))
        waited = at + saved + window
        none = np.full(len(at), NONE)
        fine = np.ones(len(at), bool)
        return Stops(at, np.full(len(at), kind), at + saved, waited, waited + restart, fine, none, none, phase)

    parts = [stop(0.0, START, 0.0, 0.0, 0.0)]
    for phase in fleet[1:]:
        again = spec.recovery.reconfigure_s
        parts.append(stop(phase.start_s, GROWTH, saving, 0.0, phase.cold_start_s + load if again is None else again))
    if spec.maintenance.every_days is not None:
        for time in np.arange(spec.maintenance.every_days, spec.days, spec.maintenance.every_days) * DAY_S:
            cold = fleet[int(phase_at(fleet, np.array(time)))].cold_start_s
            window = max(spec.maintenance.duration_s - saving, 0.0)
            parts.append(stop(float(time), MAINTENANCE, saving, window, cold + load))
    return [*parts, stop(axis.horizon_s, END, 0.0, 0.0, 0.0)]


def _rejoins(spec: OperationSpec, axis: Axis, down: StepFunction) -> Stops:
    at = down.keys[np.diff(down.values, prepend=0.0) < 0]
    none = np.full(len(at), NONE)
    ready = at + spec.recovery.rejoin_stall_s
    fine = np.ones(len(at), bool)
    phase = np.zeros(len(at), np.int64)
    return Stops(at, np.full(len(at), REJOIN), at, at, ready, fine, none, none, phase)


def _merged(parts: list[Stops], axis: Axis) -> Stops:
    """All stops in order; what would happen after a replicate's end is cut off there."""
    names = list(Stops.__dataclass_fields__)
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    end = axis.ends[(columns["at"] // axis.stride).astype(np.int64)]
    for name in ("noticed", "waited", "ready"):
        columns[name] = np.minimum(columns[name], end)
    order = np.lexsort((columns["kind"], columns["at"]))
    return Stops(**{name: values[order] for name, values in columns.items()})
