"""The closed form: seconds of one training step, for every layout at once.

A step is the slowest pipeline stage, the bubble, what is visible of the gradient and parameter traffic, and the
optimizer. Schedules: 1F1B and interleaved (arXiv:2104.04473, section 2.2), zero-bubble H1 (arXiv:2401.10241,
section 3.1); sharding: ZeRO (arXiv:1910.02054) and FSDP (arXiv:2304.11277).
"""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.blocks import Blocks, Seconds, Setting, blocks
from kolossos.plan.collectives import Group, gather_seconds, send_seconds
from kolossos.plan.columns import Column, Columns
from kolossos.plan.layer_kernels import LayerKernels
from kolossos.plan.parameters import StageParameters, stage_parameters
from kolossos.plan.work import BF16_BYTES, tokens

OPTIMIZER_BYTES = 30.0
"""AdamW with fp32 moments and master weights: reads and writes three of 4 bytes, reads a gradient, writes bf16."""


@dataclass(frozen=True)
class LayerSeconds:
    """The mean layer of a stage, and the head: forward, backward (with what is repeated), weight gradients alone."""

    forward: Seconds
    backward: Seconds
    weight_gradient: Column
    head_forward: Seconds
    head_backward: Seconds


@dataclass(frozen=True)
class StepColumns(Columns):
    """One step, in seconds; the parts add up to ``step``."""

    step: Column
    matmul: Column
    attention: Column
    elementwise: Column
    quantize: Column
    overhead: Column
    contention: Column
    tp_exposed: Column
    cp_exposed: Column
    ep_exposed: Column
    pp_exposed: Column
    dp_exposed: Column
    bubble: Column
    imbalance: Column
    optimizer: Column
    jitter: Column
    tp_hidden: Column
    cp_hidden: Column
    ep_hidden: Column
    dp_hidden: Column


@dataclass(frozen=True)
class LayerTotals(Columns):
    """What a whole step asks of its layers, in seconds of one micro-batch: a search gathers these from few rows."""

    forward: Column
    backward: Column
    weight_gradient: Column
    head: Column
    """Forward and backward."""


@dataclass(frozen=True)
class StepTotals(Columns):
    """The step and what depends on more than its layers, in seconds."""

    step: Column
    bubble: Column
    imbalance: Column
    pp_exposed: Column
    dp_exposed: Column
    dp_hidden: Column
    optimizer: Column
    jitter: Column


def layer_seconds(parts: Blocks, setting: Setting) -> LayerSeconds:
    """Average over the layers of the model, with recompute as the layout asks for."""
    model, recompute = setting.model, setting.layout.recompute
    moe = model.n_moe_layers / model.n_layers
    dense = np.where(model.dense_beside_experts > 0, 1.0, 1.0 - moe) * (model.ffn_dim > 0)
    weights = ((parts.attention, np.ones(())), (parts.dense, dense), (parts.experts, moe))
    forward = backward = Seconds.none()
    weight_gradient: Column = np.zeros(())
    for block, share in weights:
        again = block.forward * (recompute == 2) + block.selective * (recompute == 1)
        forward = forward + block.forward * share
        backward = backward + (block.backward + again) * share
        weight_gradient = weight_gradient + block.weight_gradient * share
    return LayerSeconds(forward, backward, weight_gradient, parts.head.forward, parts.head.backward)


@dataclass(frozen=True)
class Stages:
    """How the layers fall on the pipeline: the fullest stage, and the mean."""

    layers: Column
    layers_last: Column
    mean_layers: Column


def stages(setting: Setting) -> Stages:
    """Chunks are whole layers: ceil(layers / (pp vp)) a chunk; what is missing is missing at both ends, where the
    embedding and the head make up for it."""
    layers, layout = setting.model.n_layers, setting.layout
    chunk = np.ceil(layers / (layout.pp * layout.vp) - 1e-9)
    full = chunk * layout.vp
    missing = full * layout.pp - layers
    last = np.maximum(full - np.ceil(missing / 2), 0.0)
    return Stages(np.where(layout.pp > 1, full, layers), np.where(layout.pp > 1, last, layers), layers / layout.pp)


def layer_totals(layer: LayerSeconds) -> LayerTotals:
    """The sums of a layer's parts."""
    head = layer.head_forward.total + layer.head_backward.total
    return LayerTotals(layer.forward.total, layer.backward.total, layer.weight_gradient, head)


def step_seconds(kernels: LayerKernels, setting: Setting) -> StepColumns:
    """Price whole steps, part by part."""
    layer = layer_seconds(blocks(kernels, setting), setting)
    whole = step_totals(layer_totals(layer), setting)
    layout, n_micro = setting.layout, setting.layout.micro_batches
    head = layer.head_forward + layer.head_backward
    mean = (layer.forward + layer.backward) * stages(setting).mean_layers + head * (1.0 / layout.pp)
    work = mean * n_micro
    return StepColumns(
        step=whole.step,
        matmul=work.matmul,
        attention=work.attention,
        elementwise=work.elementwise,
        quantize=work.quantize,
        overhead=work.overhead + setting.software.step_overhead_s,
        contention=work.contention + whole.dp_hidden * setting.hardware.collective_share,
        tp_exposed=work.tp_exposed,
        cp_exposed=work.cp_exposed,
        ep_exposed=work.ep_exposed,
        pp_exposed=whole.pp_exposed,
        dp_exposed=whole.dp_exposed,
        bubble=whole.bubble,
        imbalance=whole.imbalance,
        optimizer=whole.optimizer,
        jitter=whole.jitter,
        tp_hidden=work.tp_hidden,
        cp_hidden=work.cp_hidden,
        ep_hidden=work.ep_hidden,
        dp_hidden=whole.dp_hidden,
    )


def step_totals(layer: LayerTotals, setting: Setting) -> StepTotals:
    """Price whole steps from the totals of their layers: all that a search needs of a layout."""
    layout, stage = setting.layout, stages(setting)
    n_micro = layout.micro_batches
    per_layer = layer.forward + layer.backward
    mean = per_layer * stage.mean_layers + layer.head / layout.pp
    slowest = np.maximum(stage.layers * per_layer, stage.layers_last * per_layer + layer.head)
    slowest = np.where(layout.pp > 1, slowest, mean)
    held = held_parameters(stage, setting)
    bubble = _bubble(mean, layer.weight_gradient * stage.mean_layers, setting)
    pp_exposed = _between_stages(setting)
    dp_exposed, dp_hidden = _data_parallel(layer, stage, held, setting)
    optimizer = optimizer_seconds(held, setting)
    contention = dp_hidden * setting.hardware.collective_share
    others = bubble + pp_exposed + dp_exposed + contention + (optimizer + setting.software.step_overhead_s)
    quiet = slowest * n_micro + others
    jitter = quiet * (setting.software.jitter * np.log2(np.maximum(layout.world / 8.0, 1.0)))
    imbalance = (slowest - mean) * n_micro
    return StepTotals(quiet + jitter, bubble, imbalance, pp_exposed, dp_exposed, dp_hidden, optimizer, jitter)


def held_parameters(stage: Stages, setting: Setting) -> StageParameters:
    """Parameters of the fullest stage on one rank."""
    pipelined = setting.layout.pp > 1
    vocabularies = np.where(pipelined, 1.0, 1.0 + setting.model.untied)
    return stage_parameters(setting.model, setting.layout, stage.layers, vocabularies)


def _bubble(mean: Column, weights: Column, setting: Setting) -> Column:
    """(pp - 1) (forward + backward) / vp; zero-bubble fills all but (pp - 1)(forward + dx - dw)."""
    layout = setting.layout
    filled = np.where(layout.schedule > 0, np.minimum(2.0 * weights, mean), 0.0)
    return (layout.pp - 1) / layout.vp * (mean - filled)


def hop_seconds(setting: Setting) -> Column:
    """A micro-batch's activations (or their gradients) from stage to stage, each tp rank its part (arXiv:2104.04473,
    section 4.1)."""
    layout = setting.layout
    size = tokens(layout) * setting.model.dim * BF16_BYTES / layout.tp
    return send_seconds(size, layout.tp * layout.cp * layout.dp, setting.hardware)


def _between_stages(setting: Setting) -> Column:
    """Activations forward and their gradients back: on the way of every micro-batch, or only of the first ones."""
    layout = setting.layout
    overlapped = (setting.software.pp_overlap > 0) & (layout.vp > 1)
    times = np.where(overlapped, 0.0, layout.micro_batches * layout.vp) + (layout.pp - 1)
    hand_shakes = layout.micro_batches * layout.vp * setting.software.micro_batch_overhead_s
    return (2 * hop_seconds(setting) * times + hand_shakes) * (layout.pp > 1)


def _data_parallel(layer: LayerTotals, stage: Stages, held: StageParameters, setting: Setting) -> tuple[Column, Column]:
    """(exposed, hidden) traffic of gradients and parameters."""
    layout, software = setting.layout, setting.software
    gather, reduce = parameter_traffic(held, setting)
    forward, backward = layer.forward * stage.layers, layer.backward * stage.layers
    behind = np.where(layout.sharding > 0, gather, reduce)
    buckets = np.maximum(stage.layers, 2.0)
    window = 1.0 - 1.0 / buckets
    late = np.maximum(reduce - backward * window, reduce / buckets)
    early = np.maximum(behind - np.where(layout.sharding > 0, forward, backward) * window, behind / buckets)
    overlapped = software.dp_overlap > 0
    once = np.where(overlapped, late + early, reduce + behind)
    per_pass = np.where(overlapped, 0.0, 1.0)
    streaming_f = np.maximum(gather - forward * window, np.maximum(gather / buckets, gather * per_pass))
    both = gather + reduce
    streaming_b = np.maximum(both - backward * window, np.maximum(both / buckets, both * per_pass))
    each = layout.micro_batches * (streaming_f + streaming_b)
    all_each = layout.micro_batches * (gather + both)
    shards = layout.sharding == 3
    traffic = np.where(shards, each, once)
    hidden = np.where(shards, all_each, reduce + behind) - traffic
    one_by_one = software.shard_overhead_s * (layout.dp_shard - 1.0) * (layout.sharding > 0)
    return traffic + one_by_one, hidden


def parameter_traffic(held: StageParameters, setting: Setting) -> tuple[Column, Column]:
    """Seconds to gather a stage's parameters in bf16, and to reduce its gradients.

    Both are rings over the ranks that shard; what is then still replicated is reduced among the replicas.
    """
    layout, hardware = setting.layout, setting.hardware
    inner = layout.dp_shard * layout.cp
    expert_ranks = np.maximum(layout.tp * inner / (layout.ep * layout.etp), 1.0)
    gather: Column = np.zeros(())
    reduce: Column = np.zeros(())
    for count, size, stride in (
        (held.shared, inner, layout.tp),
        (held.experts, expert_ranks, layout.ep * layout.etp),
    ):
        shards, present = Group(size, stride), (size > 1) * (count > 0)
        replicas = Group(layout.dp_replicate, layout.tp * inner)
        gather = gather + gather_seconds(count * BF16_BYTES, shards, hardware) * present
        whole = count * np.minimum(setting.software.gradient_bytes, 4.0)
        among = 2 * gather_seconds(whole / size, replicas, hardware) * (layout.dp_replicate > 1) * (count > 0)
        reduce = reduce + gather_seconds(whole, shards, hardware) * present + among
    return gather, reduce


def optimizer_seconds(held: StageParameters, setting: Setting) -> Column:
    """AdamW on a stage's parameters, or on the shard of them that a rank keeps the state of."""
    layout = setting.layout
    expert_ranks = np.maximum(layout.tp * layout.cp * layout.dp / (layout.ep * layout.etp), 1.0)
    sharded = layout.sharding > 0
    shared = held.shared / np.where(sharded, layout.dp_shard * layout.cp, 1.0)
    experts = held.experts / np.where(sharded, np.minimum(expert_ranks, layout.dp_shard * layout.cp), 1.0)
    return (shared + experts) * OPTIMIZER_BYTES / setting.hardware.memory_bytes_per_s
