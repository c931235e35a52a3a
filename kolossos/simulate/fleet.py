"""The fleet over time: which GPUs are there, which are in the job, how fast a step is then, and what they draw."""

from dataclasses import dataclass

import numpy as np

from kolossos.simulate.piecewise import Array, Axis
from kolossos.simulate.spec import DAY_S, FleetSpec, LotSpec, OperationSpec, StepDrawSpec
from kolossos.specs.catalogue import load_gpu
from kolossos.specs.draw import MEAN_SHARE_OF_TDP, gpu_watts
from kolossos.specs.gpu import GpuSpec

# Cold start of a whole job in seconds by number of GPUs. 512 to 8,192: MLPerf Llama 3.1 405B, init_start to run_start
# (training_results_v5.0 @0fdc28f01325); GPT-3's were 155 to 222 s with a smaller model, and on 504 B200 automatic
# attempts lay 11 min apart (arXiv:2605.09370). The rest: FT-HSDP, arXiv:2602.00277, "about". Beyond: the last slope.
COLD_START_GPUS = np.array([512, 2_048, 8_192, 16_384, 22_000, 64_000, 98_000], float)
COLD_START_S = np.array([588, 321, 367, 200, 300, 600, 900], float)


@dataclass(frozen=True)
class Lot:
    """GPUs of one kind, delivered on ``day``, in the job from day ``joins``. Nodes are counted through all lots."""

    gpus: int
    kind: GpuSpec
    day: float
    joins: float
    nodes: int
    first_node: int


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
    gpu_watts: float
    """Of a busy GPU, mean over a step and over the fleet's kinds."""
    gpu_idle_watts: float
    power_factor: float
    """Speed that the site's limit allows, where it is enforced; else 1."""


def cold_start_s(gpus: float) -> float:
    """Seconds to start a job of ``gpus`` from nothing, by published start-ups."""
    last = COLD_START_GPUS[-2:], COLD_START_S[-2:]
    if gpus > last[0][1]:
        return float(last[1][1] + (gpus - last[0][1]) * np.diff(last[1])[0] / np.diff(last[0])[0])
    return float(np.interp(gpus, COLD_START_GPUS, COLD_START_S))


def lots_of(fleet: FleetSpec) -> tuple[Lot, ...]:
    """All lots, the first GPUs included, by the day on which they join the job; each kind of GPU is read once."""
    first = LotSpec(gpus=fleet.gpus, gpu=fleet.gpu, day=0.0)
    given = [first, *sorted(fleet.growth, key=lambda lot: lot.joins)]
    kinds = {name: load_gpu(name) for name in dict.fromkeys(lot.gpu for lot in given)}
    made, first_node = [], 0
    for lot in given:
        nodes = lot.gpus // fleet.gpus_per_node
        made.append(Lot(lot.gpus, kinds[lot.gpu], lot.day, lot.joins, nodes, first_node))
        first_node += nodes
    return tuple(made)


def phases_of(spec: OperationSpec, lots: tuple[Lot, ...]) -> tuple[Phase, ...]:
    """One phase for the start and one for each day on which GPUs join."""
    spare_gpus = spec.recovery.own_spares * spec.fleet.gpus_per_node
    present = [lot for lot in lots if lot.joins == 0]
    gpus_at_start = sum(lot.gpus for lot in present)
    reference = _capability(present) * ((spec.step.for_gpus or gpus_at_start - spare_gpus) / gpus_at_start)
    made = []
    for index, day in enumerate(sorted({lot.joins for lot in lots})):
        members = [lot for lot in lots if lot.joins <= day]
        gpus = sum(lot.gpus for lot in members)
        job_share = 1.0 - spare_gpus / gpus
        step = spec.step.time_s * reference / (_capability(members) * job_share)
        if index and spec.step.times_after_growth_s:
            step = spec.step.times_after_growth_s[index - 1] / job_share
        nodes = gpus // spec.fleet.gpus_per_node
        busy, idle = _mean_watts(spec, members, spec.step.draws[index] if spec.step.draws else None)
        restart = spec.recovery.restart_s
        made.append(
            Phase(
                start_s=day * DAY_S,
                nodes=nodes,
                job_nodes=nodes - spec.recovery.own_spares,
                spare_nodes=spec.recovery.own_spares,
                step_time_s=step,
                tokens_per_s=spec.step.tokens / step,
                cold_start_s=cold_start_s(gpus - spare_gpus) if restart is None else restart,
                gpu_watts=busy,
                gpu_idle_watts=idle,
                power_factor=_power_factor(spec, gpus, busy, idle),
            )
        )
    return tuple(made)


def phase_at(phases: tuple[Phase, ...], time_s: Array) -> Array:
    """Index of the phase at each time of a run."""
    return np.searchsorted([phase.start_s for phase in phases], time_s, side="right") - 1


def phase_on(phases: tuple[Phase, ...], axis: Axis, keys: Array) -> Array:
    """Index of the phase at each key of the axis. Bounds are rounded as the keys of growth are, so nothing falls
    between two phases, however close together they begin."""
    start = axis.starts[axis.replicate(keys)]
    index = np.zeros(len(keys), np.int64)
    for phase in phases[1:]:
        index += keys >= start + phase.start_s
    return index


def _capability(members: list[Lot]) -> float:
    """Peak bf16 FLOP/s of all; how a given step time is carried over to another fleet."""
    return sum(lot.gpus * lot.kind.peak("bf16") for lot in members)


def _mean_watts(spec: OperationSpec, members: list[Lot], draw: StepDrawSpec | None) -> tuple[float, float]:
    """Watts of a busy and of an idle GPU of the fleet: what was given for all, or each kind's own."""
    busy, idle = spec.power.gpu_watts, spec.power.gpu_idle_watts
    kinds = {lot.kind.name: lot.kind for lot in members}
    gpus = sum(lot.gpus for lot in members)
    shares = {name: sum(lot.gpus for lot in members if lot.kind.name == name) / gpus for name in kinds}
    if busy is None:
        busy = sum(share * _busy_watts(kinds[name], draw) for name, share in shares.items())
    if idle is None:
        idle = sum(share * kinds[name].idle_watts for name, share in shares.items())
    return busy * spec.power.fans, idle * spec.power.fans


def _busy_watts(kind: GpuSpec, draw: StepDrawSpec | None) -> float:
    """Mean over a step, and over the GPUs that a layout takes and leaves over."""
    if draw is None:
        return kind.tdp_watts * MEAN_SHARE_OF_TDP
    return draw.used_share * gpu_watts(kind, draw.busy_share) + (1.0 - draw.used_share) * kind.idle_watts


def _power_factor(spec: OperationSpec, gpus: int, busy_watts: float, idle_watts: float) -> float:
    power = spec.power
    if not power.enforce_limit or power.site_limit_watts is None:
        return 1.0
    per_gpu = power.site_limit_watts / power.pue / gpus
    return float(np.clip((per_gpu - power.host_watts * power.fans - idle_watts) / (busy_watts - idle_watts), 0.01, 1.0))
