"""The fleet over time: which GPUs are there, which are in the job, and how fast a step is then."""

from dataclasses import dataclass

import numpy as np

from kolossos.simulate.spec import DAY_S, LotSpec, OperationSpec
from kolossos.specs.catalogue import load_gpu

# Cold start of a whole job in seconds by number of GPUs. 512, 4,096: MLPerf GPT-3 init_start to run_start
# (training_results_v3.1 @d06288b2bd67); the rest: FT-HSDP, arXiv:2602.00277, "about". Beyond: the last slope.
COLD_START_GPUS = np.array([512, 4_096, 16_384, 22_000, 64_000, 98_000], float)
COLD_START_S = np.array([155, 183, 200, 300, 600, 900], float)


@dataclass(frozen=True)
class Phase:
    """A stretch of time in which the fleet stays the same. Nodes are whole nodes of the fleet."""

    start_s: float
    nodes: int
    job_nodes: int
    spare_nodes: int
    step_time_s: float
    tokens_per_s: float
    cold_start_s: float
    power_factor: float
    """Speed that the site's limit allows, where it is enforced; else 1."""


def cold_start_s(gpus: float) -> float:
    """Seconds to start a job of ``gpus`` from nothing, by published start-ups."""
    last = COLD_START_GPUS[-2:], COLD_START_S[-2:]
    if gpus > last[0][1]:
        return float(last[1][1] + (gpus - last[0][1]) * np.diff(last[1])[0] / np.diff(last[0])[0])
    return float(np.interp(gpus, COLD_START_GPUS, COLD_START_S))


def lots(spec: OperationSpec) -> list[LotSpec]:
    """All lots, the first GPUs included, by the day on which they join the job."""
    first = LotSpec(gpus=spec.fleet.gpus, gpu=spec.fleet.gpu, day=0.0)
    return [first, *sorted(spec.fleet.growth, key=lambda lot: lot.joins)]


def phases(spec: OperationSpec) -> list[Phase]:
    """One phase for the start and one for each day on which GPUs join."""
    all_lots = lots(spec)
    joins = sorted({lot.joins for lot in all_lots})
    spare_gpus = spec.recovery.own_spares * spec.fleet.gpus_per_node
    made = []
    reference = _capability([lot for lot in all_lots if lot.joins == 0])
    gpus_at_start = sum(lot.gpus for lot in all_lots if lot.joins == 0)
    for_gpus = spec.step.for_gpus or gpus_at_start - spare_gpus
    reference *= for_gpus / gpus_at_start
    for index, day in enumerate(joins):
        members = [lot for lot in all_lots if lot.joins <= day]
        gpus = sum(lot.gpus for lot in members)
        job_share = 1.0 - spare_gpus / gpus
        step = spec.step.time_s * reference / (_capability(members) * job_share)
        if index and spec.step.times_after_growth_s:
            step = spec.step.times_after_growth_s[index - 1] / job_share
        nodes = gpus // spec.fleet.gpus_per_node
        made.append(
            Phase(
                start_s=day * DAY_S,
                nodes=nodes,
                job_nodes=nodes - spec.recovery.own_spares,
                spare_nodes=spec.recovery.own_spares,
                step_time_s=step,
                tokens_per_s=spec.step.tokens / step,
                cold_start_s=cold_start_s(gpus - spare_gpus)
                if spec.recovery.restart_s is None
                else spec.recovery.restart_s,
                power_factor=_power_factor(spec, gpus),
            )
        )
    return made


def phase_at(fleet: list[Phase], time_s: np.ndarray) -> np.ndarray:
    """Index of the phase at each time; a millisecond of grace, for times that went through the common axis."""
    return np.maximum(np.searchsorted([p.start_s for p in fleet], np.asarray(time_s) + 1e-3, side="right") - 1, 0)


def _capability(members: list[LotSpec]) -> float:
    """Peak bf16 FLOP/s of all; how a given step time is carried over to another fleet."""
    return sum(lot.gpus * load_gpu(lot.gpu).peak("bf16") for lot in members)


def _power_factor(spec: OperationSpec, gpus: int) -> float:
    power = spec.power
    if not power.enforce_limit or power.site_limit_watts is None:
        return 1.0
    per_gpu = power.site_limit_watts / power.pue / gpus
    standing = power.host_watts + power.gpu_idle_watts
    dynamic = power.gpu_watts - power.gpu_idle_watts
    return float(np.clip((per_gpu - standing) / dynamic, 0.01, 1.0))
