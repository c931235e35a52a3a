"""From failures to stops: when the job stands still, what it waits for, and when it could run again.

A stop is *ready* when detection, person, spare and restart are over; a failure during a recovery starts it again, so
the job runs from the latest ready time of all stops so far. A spare is served to the oldest failure first: the k-th
node lost finds one when the (k - spares)-th node has come back.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.simulate.engine.draw import Draws, lognormal
from kolossos.simulate.fleet import phase_at
from kolossos.simulate.piecewise import Array, Axis, StepFunction, union
from kolossos.simulate.scenario import ANYWHERE, WHOLE, Scenario
from kolossos.simulate.spec import DAY_S

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
    """Whether the copies near the job outlive it, so that nothing goes back to the store."""
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


def stops_of(scenario: Scenario, axis: Axis, draws: Draws) -> tuple[Stops, Outages]:
    """All stops, planned ones included, and the outages behind them."""
    failures = _failures(scenario, axis, draws)
    back = failures.at + np.minimum(failures.repair_s, axis.horizon_s)
    back = np.minimum(back, axis.ends[failures.replicate])
    broken = StepFunction.from_intervals(failures.at, back, failures.nodes_lost)
    spare_at = _spare_at(scenario, axis, failures, back)
    crashes, down = _crashes(scenario, axis, failures, back, spare_at)
    parts = [crashes, *_planned(scenario, axis)]
    if scenario.policy.replicas_alone and scenario.spec.recovery.rejoin_stall_s:
        parts.append(_rejoins(scenario, axis, down))
    return _merged(parts, axis), Outages(broken, down)


def _failures(scenario: Scenario, axis: Axis, draws: Draws) -> _Failures:
    spec, causes, fleet = scenario.spec, scenario.causes, scenario.phases
    detect, repair = (_lasting(scenario, draws, name) for name in ("detect_s", "repair_s"))
    detect = detect + (draws.person < causes.column("person_share")[draws.cause]) * spec.recovery.person_s

    phase = phase_at(fleet, draws.time_s)
    joined = draws.node < np.array([p.nodes for p in fleet])[phase]  # those delivered but not yet in the job are off
    share = np.array([p.job_nodes / p.nodes for p in fleet])[phase]
    stops_job = causes.within(ANYWHERE)[draws.cause] | (draws.hit < share)
    silent_s = causes.column("found_after_s")[draws.cause] * draws.found_e * stops_job
    found = draws.time_s + silent_s
    keep = joined & (found < axis.horizon_s)
    corrupt = np.where(silent_s > 0, axis.key(draws.replicate, draws.time_s), NONE)
    if spec.recovery.spare_nodes is None:  # a node from outside stands in at once; fabric and site still take repair
        repair = np.where(causes.within(WHOLE)[draws.cause], repair, 0.0)
    lost = (causes.within(("rack",)) * spec.fleet.nodes_per_rack + causes.within(("gpu", "node")))[draws.cause]
    at = axis.key(draws.replicate, found)
    order = np.flatnonzero(keep)[np.argsort(at[keep], kind="stable")]
    phase = phase_at(fleet, found)
    values = (at, draws.replicate, draws.cause, draws.node, phase, stops_job, corrupt, detect, repair)
    return _Failures(*(v[order] for v in (*values, draws.restart_z, lost.astype(np.int64))))


def _lasting(scenario: Scenario, draws: Draws, name: str) -> Array:
    """Seconds of detection or repair of each failure: as given for all, or by its cause, with its spread."""
    given = getattr(scenario.spec.recovery, name)
    z = draws.detect_z if name == "detect_s" else draws.repair_z
    if given is not None:
        return lognormal(np.full(len(draws.cause), given), 0.0, z)
    return lognormal(scenario.causes.column(name)[draws.cause], scenario.causes.column("cv")[draws.cause], z)


def _measured(scenario: Scenario, name: str, cause: Array, otherwise: Array) -> Array:
    """Seconds that a cause's row says were measured, or ``otherwise`` where it says none."""
    given = np.array([getattr(row, name) if getattr(row, name) is not None else NONE for row in scenario.causes.rows])
    return np.where(given[cause] >= 0, given[cause], otherwise) if len(given) else otherwise


def _spare_at(scenario: Scenario, axis: Axis, failures: _Failures, back: Array) -> Array:
    """Key at which a whole node stands in for each failed one (first lost, first served)."""
    lost = failures.nodes_lost
    returns = np.sort(np.repeat(back, lost))
    per_replicate = np.bincount(failures.replicate, weights=lost, minlength=axis.n_replicates).astype(np.int64)
    base = np.concatenate(([0], np.cumsum(per_replicate)[:-1])).astype(np.int64)
    count = np.cumsum(lost) - base[failures.replicate]
    short = count - np.array([phase.spare_nodes for phase in scenario.phases])[failures.phase]
    wait = (short > 0) & (lost > 0)
    place = np.clip(base[failures.replicate] + short - 1, 0, max(len(returns) - 1, 0))
    return np.where(wait, np.maximum(returns[place] if len(returns) else failures.at, failures.at), failures.at)


def _crashes(
    scenario: Scenario, axis: Axis, failures: _Failures, back: Array, spare_at: Array
) -> tuple[Stops, StepFunction]:
    recovery, policy = scenario.spec.recovery, scenario.policy
    near = scenario.causes.within(policy.near)[failures.cause] & ~(failures.corrupt_since >= 0)
    whole = scenario.causes.within(WHOLE)[failures.cause]
    noticed = failures.at + failures.detect_s
    waited = np.maximum(np.maximum(noticed, spare_at), np.where(whole, back, noticed))
    cold = np.array([phase.cold_start_s for phase in scenario.phases])[failures.phase]
    down = StepFunction(np.empty(0), np.empty(0))
    if policy.replicas_alone:
        down = _replicas_down(scenario, axis, failures, np.where(near, waited, noticed))
        waited = np.where(near, np.maximum(noticed, _too_few(scenario, axis, down, failures)), waited)
    restart = np.where(near, policy.restart_s(recovery, cold), cold + scenario.load_s)
    restart = _measured(scenario, "go_on_s", failures.cause, restart)
    restart = lognormal(restart, recovery.restart_cv, failures.restart_z)
    keep = failures.stops_job & ~_in_window(scenario, axis, failures)
    columns = (failures.at, np.full(len(cold), CRASH), noticed, waited, waited + restart, near)
    stops = Stops(*(c[keep] for c in (*columns, failures.corrupt_since, failures.cause, failures.phase)))
    return stops, down


def _replicas_down(scenario: Scenario, axis: Axis, failures: _Failures, healthy: Array) -> StepFunction:
    """How many replicas are out, each counted once however many of its nodes have failed."""
    recovery = scenario.spec.recovery
    hit = failures.stops_job & (failures.nodes_lost > 0)
    nodes = np.array([phase.nodes for phase in scenario.phases])[failures.phase]
    replica = np.minimum(failures.node * recovery.replicas // nodes, recovery.replicas - 1)[hit]
    row = failures.replicate[hit]
    start = failures.at[hit]
    again = np.full(len(start), recovery.replica_restart_s)
    end = np.minimum(healthy[hit] + _measured(scenario, "rejoin_s", failures.cause[hit], again), axis.ends[row])
    lane = axis.stride * axis.n_replicates  # each replica of the job gets an axis of its own, then all are folded back
    starts, ends = union(start + replica * lane, end + replica * lane)
    return StepFunction.from_intervals(starts % lane, ends % lane)


def _too_few(scenario: Scenario, axis: Axis, down: StepFunction, failures: _Failures) -> Array:
    """Key until which fewer than ``min_replicas`` run, at each failure; the failure's own key if enough do."""
    allowed = scenario.spec.recovery.replicas - scenario.spec.recovery.min_replicas
    short = StepFunction(down.keys, (down.values > allowed + 0.5).astype(float))
    falling = short.keys[np.diff(short.values, prepend=0.0) < 0]
    if not len(falling):
        return failures.at
    now = failures.at + 1e-3  # the failure's own replica is down by then, whatever the rounding of folded axes
    after = falling[np.minimum(np.searchsorted(falling, now, side="right"), len(falling) - 1)]
    return np.where(short.at(now) > 0, np.minimum(after, axis.ends[failures.replicate]), failures.at)


def _in_window(scenario: Scenario, axis: Axis, failures: _Failures) -> Array:
    """Whether a failure falls into a maintenance window, when nothing runs that it could stop."""
    maintenance = scenario.spec.maintenance
    if maintenance.every_days is None:
        return np.zeros(len(failures.at), bool)
    time = failures.at - axis.starts[failures.replicate]
    period = maintenance.every_days * DAY_S
    return (time >= period) & (time % period < maintenance.duration_s)


def _planned(scenario: Scenario, axis: Axis) -> list[Stops]:
    """Start, end, growth and maintenance of every replicate."""
    spec, fleet, load = scenario.spec, scenario.phases, scenario.load_s
    saving = spec.checkpoint.blocking + spec.checkpoint.background

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


def _rejoins(scenario: Scenario, axis: Axis, down: StepFunction) -> Stops:
    at = down.keys[np.diff(down.values, prepend=0.0) < 0]
    none = np.full(len(at), NONE)
    ready = at + scenario.spec.recovery.rejoin_stall_s
    fine = np.ones(len(at), bool)
    phase = np.zeros(len(at), np.int64)
    return Stops(at, np.full(len(at), REJOIN), at, at, ready, fine, none, none, phase)


def _merged(parts: list[Stops], axis: Axis) -> Stops:
    """All stops in order; what would happen after a replicate's end is cut off there."""
    names = list(Stops.__dataclass_fields__)
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    end = axis.ends[axis.replicate(columns["at"])]
    for name in ("noticed", "waited", "ready"):
        columns[name] = np.minimum(columns[name], end)
    order = np.lexsort((columns["kind"], columns["at"]))
    return Stops(**{name: values[order] for name, values in columns.items()})
