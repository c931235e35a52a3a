"""What every stage and chunk of one layout has to do, in seconds, from the same work as the closed form."""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.choices import Sharding
from kolossos.plan.closed_form.blocks import blocks
from kolossos.plan.closed_form.data_parallel import parameter_traffic
from kolossos.plan.closed_form.layer_kernels import LayerKernels
from kolossos.plan.closed_form.parameters import stage_parameters
from kolossos.plan.closed_form.pipeline import hop_seconds
from kolossos.plan.closed_form.step import layer_seconds, optimizer_seconds
from kolossos.plan.columns import scalar
from kolossos.plan.events.chunk import ChunkPass, plain_pass, streamed_pass
from kolossos.plan.events.units import NOTHING, Unit, unit_pass, waiting_pass, weight_pass
from kolossos.plan.layers import chunk_layers
from kolossos.plan.schedules import schedule_of_code
from kolossos.plan.schedules.one_forward_one_backward import SCHEDULE as ONE_STAGE
from kolossos.plan.schedules.schedule import Schedule
from kolossos.plan.schedules.tasks import BACKWARD, DIRECTIONS, WEIGHT
from kolossos.plan.setting import Setting


@dataclass(frozen=True)
class StageWork:
    """One stage: the units of each chunk in forward order, and the passes made of them by chunk and direction."""

    units: list[list[Unit]]
    passes: list[tuple[ChunkPass, ChunkPass, ChunkPass]]
    gather_s: float
    """All-gather of the parameters of the whole stage in one piece."""
    reduce_s: float
    optimizer_s: float


@dataclass(frozen=True)
class Work:
    """One step of one layout. Seconds."""

    stages: list[StageWork]
    vp: int
    n_micro: int
    schedule: Schedule
    streamed: bool
    """FSDP: parameters are gathered layer by layer in every pass."""
    gathers: bool
    """Parameters are gathered once a step (ZeRO-1 and 2)."""
    dp_overlap: bool
    hop_s: float
    hops_block: bool
    """A send holds the compute stream (all but interleaved schedules that overlap it)."""
    contention: float
    """Share by which products slow down while the dp stream is busy."""
    overhead_s: float
    shards_s: float
    """What software that sends its shards one by one loses in a step."""
    jitter: float
    """Share of the step that is lost to waiting for stragglers."""

    @property
    def splits_backward(self) -> bool:
        """Whether weight gradients are passes of their own."""
        return self.schedule.splits_backward


def step_work(kernels: LayerKernels, setting: Setting) -> Work:
    """Price the units of one layout (scalars, or columns of one row)."""
    layout, software = setting.layout, setting.software
    pp, n_micro = int(scalar(layout.pp)), scalar(layout.micro_batches)
    vp = int(scalar(layout.vp)) if pp > 1 else 1
    if n_micro != int(n_micro) or n_micro < 1:
        raise ValueError(f"{n_micro} micro-batches: global_batch_size must be a multiple of micro_batch_size x dp")
    schedule = schedule_of_code(scalar(layout.schedule)) if pp > 1 else ONE_STAGE
    sharding = Sharding(int(scalar(layout.sharding)))
    streamed, dp_overlap = sharding == Sharding.PARAMETERS, scalar(software.dp_overlap) > 0
    contention = scalar(setting.hardware.collective_share)
    known = _units(kernels, setting, schedule.splits_backward)
    work = []
    for stage, layers in enumerate(chunk_layers(int(scalar(setting.model.n_layers)), pp, vp)):
        units = _stage_units(stage, layers, pp, known)
        passes = [_chunk_passes(chunk, schedule.splits_backward, streamed, dp_overlap, contention) for chunk in units]
        work.append(_stage(units, passes, setting))
    world = scalar(layout.world)
    return Work(
        stages=work,
        vp=vp,
        n_micro=int(n_micro),
        schedule=schedule,
        streamed=streamed,
        gathers=sharding in (Sharding.OPTIMIZER, Sharding.GRADIENTS),
        dp_overlap=dp_overlap,
        hop_s=scalar(hop_seconds(setting)) if pp > 1 else 0.0,
        hops_block=not (scalar(software.pp_overlap) > 0 and vp > 1),
        contention=contention,
        overhead_s=scalar(software.step_overhead_s),
        shards_s=scalar(software.shard_overhead_s) * (scalar(layout.dp_shard) - 1.0) * (sharding != Sharding.NONE),
        jitter=scalar(software.jitter) * max(float(np.log2(world / 8.0)), 0.0),
    )


def _units(kernels: LayerKernels, setting: Setting, split: bool) -> dict[str, Unit]:
    """The mean layer, the embedding, the head, and the hand-shake of a send. The embedding is a look-up: it has
    parameters but no products."""
    seconds = layer_seconds(blocks(kernels, setting), setting)
    traffic = parameter_traffic(setting)
    matrix = (scalar(traffic.vocabulary_gather), scalar(traffic.vocabulary_reduce))
    tied = setting.layout.pp == 1 and not scalar(setting.model.untied)
    apart = scalar(seconds.weight_gradient) if split else 0.0
    passes = (unit_pass(seconds.forward), unit_pass(seconds.backward, apart), weight_pass(apart))
    head = (unit_pass(seconds.head_forward), unit_pass(seconds.head_backward), NOTHING)
    shake = waiting_pass("hand-shake", "pp_exposed", 0.5 * scalar(setting.software.micro_batch_overhead_s))
    return {
        "layer": Unit("layer", passes, scalar(traffic.layer_gather), scalar(traffic.layer_reduce)),
        "embedding": Unit("embedding", (NOTHING, NOTHING, NOTHING), *matrix),
        "head": Unit("head", head, 0.0, 0.0) if tied else Unit("head", head, *matrix),
        "hand-shake": Unit("", (shake, shake, NOTHING), 0.0, 0.0),
    }


def _stage_units(stage: int, layers: list[int], pp: int, units: dict[str, Unit]) -> list[list[Unit]]:
    """The units of each chunk of a stage, in forward order."""
    chunks = [[units["layer"]] * n for n in layers]
    chunks[0] = [units["embedding"]] * (stage == 0) + chunks[0]
    chunks[-1] = chunks[-1] + [units["head"]] * (stage == pp - 1)
    return [chunk + [units["hand-shake"]] * (pp > 1) for chunk in chunks]


def _chunk_passes(
    units: list[Unit], split: bool, streamed: bool, overlap: bool, contention: float
) -> tuple[ChunkPass, ChunkPass, ChunkPass]:
    last = WEIGHT if split else BACKWARD
    if not streamed:
        forward, backward, weight = (plain_pass(units, direction) for direction in range(len(DIRECTIONS)))
        return forward, backward, weight
    forward, backward, weight = (
        streamed_pass(units, direction, direction <= BACKWARD, direction == last, overlap, contention)
        for direction in range(len(DIRECTIONS))
    )
    return forward, backward, weight


def _stage(
    units: list[list[Unit]], passes: list[tuple[ChunkPass, ChunkPass, ChunkPass]], setting: Setting
) -> StageWork:
    every = [unit for chunk in units for unit in chunk]
    names = [unit.name for unit in every]
    matrices = sum(unit.name in ("embedding", "head") for unit in every)
    if setting.layout.pp == 1 and not scalar(setting.model.untied):
        matrices = 1
    held = stage_parameters(
        setting.model, setting.layout, np.array(float(names.count("layer"))), np.array(float(matrices))
    )
    return StageWork(
        units=units,
        passes=passes,
        gather_s=sum(unit.gather_s for unit in every),
        reduce_s=sum(unit.reduce_s for unit in every),
        optimizer_s=scalar(optimizer_seconds(held, setting)),
    )
