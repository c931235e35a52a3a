"""Search over policy on the same failures: checkpoint interval, spare nodes, replicas.

All candidates are played on one set of draws (common random numbers), so their differences are far less noisy than
their values. Intervals are scanned on a logarithmic grid around Young's and refined; spares around the mean number of
nodes in repair; then the interval once more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from kolossos.simulate.closed_forms import daly_interval_s, young_interval_s
from kolossos.simulate.draw import causes_of
from kolossos.simulate.phases import phases
from kolossos.simulate.play import Outcome, Prepared, chunked, prepare, simulate
from kolossos.simulate.power import cost_usd, energy_mwh
from kolossos.simulate.spec import DAY_S, OperationSpec, RecoverySpec

Objective = Literal["tokens-per-day", "cost-per-token"]
GRID = np.geomspace(1 / 6, 40.0, 14)
FINE = (0.75, 0.87, 1.15, 1.33)


@dataclass(frozen=True)
class Candidate:
    """One policy and what it delivers in each replicate."""

    spec: OperationSpec
    interval_s: float
    outcome: Outcome

    def value(self, objective: Objective) -> np.ndarray:
        """Tokens a day, or dollars per 1e12 tokens, by replicate."""
        if objective == "tokens-per-day":
            return self.outcome.tokens / self.spec.days
        cost = cost_usd(self.spec, energy_mwh(self.spec, self.outcome.gpu_s))
        return cost / np.maximum(self.outcome.tokens, 1.0) * 1e12


@dataclass(frozen=True)
class Search:
    """The best policy found, and all that were tried."""

    objective: Objective
    best: Candidate
    tried: list[Candidate]
    young_s: float
    daly_s: float


def policies(spec: OperationSpec, interval_s: float, runs: int = 4) -> dict[str, Candidate]:
    """Every recovery policy on the same failures, each at the best of a few intervals."""
    few = _with_fixed_step(spec.model_copy(update={"replicates": min(runs, spec.replicates)}))
    chunks = [prepare(few, r) for r in chunked(few)]
    made = {}
    for policy in get_args(RecoverySpec.model_fields["policy"].annotation):
        changed = few.model_copy(update={"recovery": few.recovery.model_copy(update={"policy": policy})})
        tried = [_candidate(changed, chunks, interval) for interval in (interval_s, 4 * interval_s, 16 * interval_s)]
        made[policy] = _best(tried, "tokens-per-day")
    return made


def mtbf_s(spec: OperationSpec) -> float:
    """Mean time between interruptions of the first job, by the table's rates (no age)."""
    phase = phases(spec)[0]
    causes = causes_of(spec)
    anywhere = sum(c.per_1000_node_days for c in causes if c.scope in ("job", "fabric", "site"))
    in_job = sum(c.per_1000_node_days for c in causes) - anywhere
    per_day = (anywhere * phase.nodes + in_job * phase.job_nodes) / 1000.0
    return DAY_S / per_day if per_day else float("inf")


def reference_intervals_s(spec: OperationSpec) -> tuple[float, float]:
    """Young's and Daly's interval of this run; what a checkpoint costs them is its blocking part."""
    mtbf = mtbf_s(spec)
    if not np.isfinite(mtbf):
        return spec.days * DAY_S, spec.days * DAY_S
    write = max(spec.checkpoint.blocking, 1e-3)
    return young_interval_s(write, mtbf), daly_interval_s(write, mtbf)


def resolved_interval_s(spec: OperationSpec, replicates: int = 8) -> float:
    """The interval asked for, or, for "auto", the one that delivers most tokens in a few replicates."""
    if spec.checkpoint.interval_s != "auto":
        return spec.checkpoint.interval_s
    few = spec.model_copy(update={"replicates": min(replicates, spec.replicates)})
    return best_interval(few, [prepare(few, r) for r in chunked(few)], "tokens-per-day")[0].interval_s


def best_interval(
    spec: OperationSpec, chunks: list[Prepared], objective: Objective
) -> tuple[Candidate, list[Candidate]]:
    """The best checkpoint interval for these draws, and all candidates tried."""
    young, daly = reference_intervals_s(spec)
    shortest = max(spec.checkpoint.background, phases(spec)[0].step_time_s)
    centre = max(young, shortest)
    grid = sorted({*np.clip(GRID * centre, shortest, spec.days * DAY_S), max(young, shortest), max(daly, shortest)})
    tried = [_candidate(spec, chunks, float(interval)) for interval in grid]
    best = _best(tried, objective)
    fine = [_candidate(spec, chunks, max(best.interval_s * factor, shortest)) for factor in FINE]
    tried += fine
    return _best(tried, objective), tried


def optimise(spec: OperationSpec, objective: Objective, replicates: int = 16, replicas: bool = False) -> Search:
    """Search interval, spares and (shrink-and-heal, if asked) replicas for ``objective``."""
    few = spec.model_copy(update={"replicates": min(replicates, spec.replicates)})
    few = _with_fixed_step(few if few.recovery.spare_nodes is not None else _with_spares(few, 0))
    chunks = [prepare(few, r) for r in chunked(few)]
    best, tried = best_interval(few, chunks, objective)
    best, more = _scan(best, chunks, objective, spare_candidates(few), _with_spares)
    tried += more
    if replicas and few.recovery.policy == "shrink-and-heal":
        counts = [n for n in (4, 8, 16, 32, 64, 128) if n >= few.recovery.min_replicas]
        best, more = _scan(best, chunks, objective, counts, _with_replicas)
        tried += more
    again, more = best_interval(best.spec, chunks, objective)
    best = _best([best, again], objective)
    young, daly = reference_intervals_s(best.spec)
    return Search(objective, best, tried + more, young, daly)


def spare_candidates(spec: OperationSpec) -> list[int]:
    """Numbers of spare nodes around the mean number in repair at the end, with its Poisson spread."""
    phase = phases(spec)[-1]
    repair = spec.recovery.repair_s
    broken = 0.0
    for cause in causes_of(spec):
        nodes = {"gpu": 1, "node": 1, "rack": spec.fleet.nodes_per_rack}.get(cause.scope, 0)
        seconds = cause.repair_s if repair is None else repair
        broken += cause.per_1000_node_days / 1000.0 * phase.nodes * nodes * seconds / DAY_S
    deviations = (-1.0, 0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)
    largest = phases(spec)[0].nodes - 1
    return sorted({min(max(round(broken + d * broken**0.5), 0), largest) for d in deviations} | {0})


def _scan(
    start: Candidate,
    chunks: list[Prepared],
    objective: Objective,
    values: list[int],
    change: Callable[[OperationSpec, int], OperationSpec],
) -> tuple[Candidate, list[Candidate]]:
    tried = [_candidate(change(start.spec, value), chunks, start.interval_s) for value in values]
    return _best([start, *tried], objective), tried


def _with_fixed_step(spec: OperationSpec) -> OperationSpec:
    """Pin the step time to the job as given, so that spares taken from it slow it down."""
    phase = phases(spec)[0]
    gpus = spec.step.for_gpus or phase.job_nodes * spec.fleet.gpus_per_node
    return spec.model_copy(update={"step": spec.step.model_copy(update={"for_gpus": gpus})})


def _with_spares(spec: OperationSpec, nodes: int) -> OperationSpec:
    return spec.model_copy(update={"recovery": spec.recovery.model_copy(update={"spare_nodes": nodes})})


def _with_replicas(spec: OperationSpec, replicas: int) -> OperationSpec:
    return spec.model_copy(update={"recovery": spec.recovery.model_copy(update={"replicas": replicas})})


def _candidate(spec: OperationSpec, chunks: list[Prepared], interval_s: float) -> Candidate:
    return Candidate(spec, interval_s, simulate(spec, interval_s, chunks))


def _best(candidates: list[Candidate], objective: Objective) -> Candidate:
    sign = -1.0 if objective == "tokens-per-day" else 1.0
    return min(candidates, key=lambda candidate: sign * float(candidate.value(objective).mean()))
