"""Search over policy on the same failures: checkpoint interval, spare nodes, and what the policy itself lets vary.

All candidates are played on one set of draws (common random numbers), so their differences are far less noisy than
their values. Intervals are scanned on a logarithmic grid around Young's and refined; spares around the mean number of
nodes in repair; then the interval once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from kolossos.simulate.closed_forms import reference_intervals_s
from kolossos.simulate.engine.play import Outcome, Prepared, prepared, simulate
from kolossos.simulate.policies import policies_in_order
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.search.objectives import TOKENS_PER_DAY, Objective
from kolossos.simulate.spec import DAY_S, RecoverySpec

GRID = np.geomspace(1 / 6, 40.0, 14)
FINE = (0.75, 0.87, 1.15, 1.33)


@dataclass(frozen=True)
class Candidate:
    """One policy and what it delivers in each replicate."""

    scenario: Scenario
    interval_s: float
    outcome: Outcome


@dataclass(frozen=True)
class Search:
    """The best policy found, and all that were tried."""

    objective: Objective
    best: Candidate
    tried: list[Candidate]
    young_s: float
    daly_s: float


def policies(scenario: Scenario, interval_s: float, runs: int = 4) -> dict[str, Candidate]:
    """Every recovery policy on the same failures, each at the best of a few intervals."""
    few = scenario.with_replicates(min(runs, scenario.spec.replicates)).with_step_pinned()
    chunks = prepared(few)
    made = {}
    for policy in policies_in_order():
        changed = few.with_recovery(policy=policy)
        tried = [_candidate(changed, chunks, interval) for interval in (interval_s, 4 * interval_s, 16 * interval_s)]
        made[policy] = _best(tried, TOKENS_PER_DAY)
    return made


def resolved_interval_s(scenario: Scenario, replicates: int = 8) -> float:
    """The interval asked for, or, for "auto", the one that delivers most tokens in a few replicates."""
    interval_s = scenario.spec.checkpoint.interval_s
    if interval_s != "auto":
        return interval_s
    few = scenario.with_replicates(min(replicates, scenario.spec.replicates))
    return best_interval(few, prepared(few), TOKENS_PER_DAY)[0].interval_s


def best_interval(
    scenario: Scenario, chunks: list[Prepared], objective: Objective
) -> tuple[Candidate, list[Candidate]]:
    """The best checkpoint interval for these draws, and all candidates tried."""
    young, daly = reference_intervals_s(scenario)
    shortest = max(scenario.spec.checkpoint.background, scenario.phases[0].step_time_s)
    centre = max(young, shortest)
    grid = sorted({*np.clip(GRID * centre, shortest, scenario.horizon_s), max(young, shortest), max(daly, shortest)})
    tried = [_candidate(scenario, chunks, float(interval)) for interval in grid]
    best = _best(tried, objective)
    fine = [_candidate(scenario, chunks, max(best.interval_s * factor, shortest)) for factor in FINE]
    tried += fine
    return _best(tried, objective), tried


def optimise(scenario: Scenario, objective: Objective, replicates: int = 16, with_policy_keys: bool = False) -> Search:
    """Search interval, spares and (``with_policy_keys``) what the policy lets vary beside them, for ``objective``."""
    few = scenario.with_replicates(min(replicates, scenario.spec.replicates))
    if few.spec.recovery.spare_nodes is None:
        few = few.with_recovery(spare_nodes=0)
    few = few.with_step_pinned()
    chunks = prepared(few)
    best, tried = best_interval(few, chunks, objective)
    varied = {"spare_nodes": spare_candidates(few), **(few.policy.search if with_policy_keys else {})}
    for key, values in varied.items():
        best, more = _scan(best, chunks, objective, key, values)
        tried += more
    again, more = best_interval(best.scenario, chunks, objective)
    best = _best([best, again], objective)
    young, daly = reference_intervals_s(best.scenario)
    return Search(objective, best, tried + more, young, daly)


def spare_candidates(scenario: Scenario) -> list[int]:
    """Numbers of spare nodes around the mean number in repair at the end, with its Poisson spread."""
    spec, last = scenario.spec, scenario.phases[-1]
    broken = 0.0
    for cause in scenario.causes.rows:
        nodes = {"gpu": 1, "node": 1, "rack": spec.fleet.nodes_per_rack}.get(cause.scope, 0)
        seconds = cause.repair_s if spec.recovery.repair_s is None else spec.recovery.repair_s
        broken += cause.per_1000_node_days / 1000.0 * last.nodes * nodes * seconds / DAY_S
    deviations = (-1.0, 0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)
    largest = scenario.phases[0].nodes - 1
    return sorted({min(max(round(broken + d * broken**0.5), 0), largest) for d in deviations} | {0})


def _scan(
    start: Candidate, chunks: list[Prepared], objective: Objective, key: str, values: Sequence[int]
) -> tuple[Candidate, list[Candidate]]:
    """The best value of one key of ``recovery``, all else as at ``start``; values that may not be are left out."""
    tried = [
        _candidate(start.scenario.with_recovery(**{key: value}), chunks, start.interval_s)
        for value in values
        if _may_be(start.scenario.spec.recovery, key, value)
    ]
    return _best([start, *tried], objective), tried


def _may_be(recovery: RecoverySpec, key: str, value: int) -> bool:
    try:
        RecoverySpec.model_validate({**recovery.model_dump(), key: value})
    except ValidationError:
        return False
    return True


def _candidate(scenario: Scenario, chunks: list[Prepared], interval_s: float) -> Candidate:
    return Candidate(scenario, interval_s, simulate(scenario, interval_s, chunks))


def _best(candidates: list[Candidate], objective: Objective) -> Candidate:
    return min(candidates, key=lambda candidate: objective.loss(candidate.outcome))
