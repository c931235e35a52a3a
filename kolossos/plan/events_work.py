"""What every stage and chunk of one layout has to do, in seconds, from the same work as the closed form."""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.blocks import Setting, blocks
from kolossos.plan.columns import SHARDINGS
from kolossos.plan.data_parallel import parameter_traffic
from kolossos.plan.events_chunk import ChunkPass, plain_pass, streamed_pass
from kolossos.plan.events_order import BACKWARD, DIRECTIONS, WEIGHT
from kolossos.plan.events_units import NOTHING, Unit, scalar, unit_pass, waiting_pass, weight_pass
from kolossos.plan.layer_kernels import LayerKernels
from kolossos.plan.parameters import stage_parameters
from kolossos.plan.pipeline import hop_seconds
from kolossos.plan.step import layer_seconds, optimizer_seconds


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
    zero_bubble: bool
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


def step_work(kernels: LayerKernels, setting: Setting) -> Work:
    """Price the units of one layout (scalars, or columns of one row)."""
    layout, software = setting.layout, setting.software
    pp, n_micro = int(scalar(layout.pp)), scalar(layout.micro_batches)
    vp = int(scalar(layout.vp)) if pp > 1 else 1
    if n_micro != int(n_micro) or n_micro < 1:
        raise ValueError(f"{n_micro} micro-batches: global_batch_size must be a multiple of micro_batch_size x dp")
    zero_bubble = scalar(layout.schedule) > 0 and pp > 1
    sharding = SHARDINGS[int(scalar(layout.sharding))]
    dp_overlap = scalar(software.dp_overlap) > 0
    contention = scalar(setting.hardware.collective_share)
    known = _units(kernels, setting, zero_bubble)
    work = []
    for stage, layers in enumerate(chunk_layers(int(scalar(setting.model.n_layers)), pp, vp)):
        units = _stage_units(stage, layers, pp, known)
        passes = [
            _chunk_passes(chunk, zero_bubble, sharding == "parameters", dp_overlap, contention) for chunk in units
        ]
        work.append(_stage(units, passes, setting))
    world = scalar(layout.world)
    return Work(
        stages=work,
        vp=vp,
        n_micro=int(n_micro),
        zero_bubble=zero_bubble,
        streamed=sharding == "parameters",
        gathers=sharding in ("optimizer", "gradients"),
        dp_overlap=dp_overlap,
        hop_s=scalar(hop_seconds(setting)) if pp > 1 else 0.0,
        hops_block=not (scalar(software.pp_overlap) > 0 and vp > 1),
        contention=contention,
        overhead_s=scalar(software.step_overhead_s),
        shards_s=scalar(software.shard_overhead_s) * (scalar(layout.dp_shard) - 1.0) * (sharding != "none"),
        jitter=scalar(software.jitter) * max(float(np.log2(world / 8.0)), 0.0),
    )


def chunk_layers(n_layers: int, pp: int, vp: int) -> list[list[int]]:
    """Layers by stage and chunk: equal chunks; what is missing is missing at both ends (``step.stages``)."""
    chunk = -(-n_layers // (pp * vp))
    layers = [[chunk] * vp for _ in range(pp)]
    missing = chunk * pp * vp - n_layers
    places = [(place % pp, place // pp) for place in range(pp * vp)]
    for take, order in ((missing // 2, places), (missing - missing // 2, places[::-1])):
        for stage, part in order:
            gone = min(take, layers[stage][part])
            layers[stage][part] -= gone
            take -= gone
    return layers


def _units(kernels: LayerKernels, setting: Setting, zero_bubble: bool) -> dict[str, Unit]:
    """The mean layer, the embedding, the head, and the hand-shake of a send. The embedding is a look-up: it has
    parameters but no products."""
    seconds = layer_seconds(blocks(kernels, setting), setting)
    traffic = parameter_traffic(setting)
    matrix = (scalar(traffic.vocabulary_gather), scalar(traffic.vocabulary_reduce))
    tied = setting.layout.pp == 1 and not scalar(setting.model.untied)
    apart = scalar(seconds.weight_gradient) if zero_bubble else 0.0
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
    units: list[Unit], zero_bubble: bool, streamed: bool, overlap: bool, contention: float
) -> tuple[ChunkPass, ChunkPass, ChunkPass]:
    last = WEIGHT if zero_bubble else BACKWARD
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
