"""The closed form: seconds of one training step, for every layout at once.

A step is the pipeline from its first forward to its last backward (``pipeline``), what shows of the traffic of
gradients and parameters (``data_parallel``), and the optimizer.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.choices import Recompute, Sharding
from kolossos.plan.closed_form.blocks import Blocks, Seconds, blocks
from kolossos.plan.closed_form.data_parallel import DataParallel, LayerPasses, data_parallel
from kolossos.plan.closed_form.layer_kernels import LayerKernels
from kolossos.plan.closed_form.parameters import StageParameters, held_parameters
from kolossos.plan.closed_form.pipeline import hop_seconds, hops_that_show, pipeline_seconds
from kolossos.plan.columns import Column, Columns
from kolossos.plan.layers import Stages
from kolossos.plan.schedules import splits_backward
from kolossos.plan.schedules.schedule import StagePasses
from kolossos.plan.setting import Setting

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

    @property
    def busy(self) -> Column:
        """Seconds in which the mean GPU computes."""
        return self.matmul + self.attention + self.elementwise + self.quantize + self.optimizer


@dataclass(frozen=True)
class LayerTotals(Columns):
    """What a whole step asks of its layers, in seconds of one micro-batch: a search gathers these from few rows."""

    forward: Column
    backward: Column
    weight_gradient: Column
    head: Column
    """Forward and backward."""


@dataclass(frozen=True)
class StepTotals:
    """The step, and what of it depends on more than its layers, in seconds."""

    step: Column
    hops: Column
    """From stage to stage, that show."""
    hand_shake: Column
    """Of the sends of one micro-batch."""
    traffic: DataParallel
    one_by_one: Column
    """Of shards that are sent one after the other."""
    optimizer: Column
    jitter: Column
    held: StageParameters
    """Parameters of the fullest stage, which its memory asks for too."""


def layer_seconds(parts: Blocks, setting: Setting) -> LayerSeconds:
    """Average over the layers of the model, with recompute as the layout asks for."""
    if parts.kinds:
        kinds = [layer_seconds(own, kind) for own, kind in zip(parts.kinds, setting.by_kind(), strict=True)]
        shares = [kind.share for kind in setting.model.kinds]
        forward, backward = Seconds.none(), Seconds.none()
        apart: Column = np.zeros(())
        for one, share in zip(kinds, shares, strict=True):
            forward, backward = forward + one.forward * share, backward + one.backward * share
            apart = apart + one.weight_gradient * share
        return LayerSeconds(forward, backward, apart, kinds[0].head_forward, kinds[0].head_backward)
    model, recompute = setting.model, setting.layout.recompute
    moe = model.n_moe_layers / model.n_layers
    dense = np.where(model.dense_beside_experts > 0, 1.0, 1.0 - moe) * (model.ffn_dim > 0)
    weights = [(parts.attention, model.attention), (parts.dense, dense), (parts.experts, moe)]
    if parts.state is not None:
        weights.append((parts.state, np.asarray(model.state_heads > 0, dtype=np.float64)))
    forward = backward = Seconds.none()
    weight_gradient: Column = np.zeros(())
    for block, share in weights:
        again = block.forward * (recompute == Recompute.FULL) + block.selective * (recompute == Recompute.SELECTIVE)
        forward = forward + block.forward * share
        backward = backward + (block.backward + again) * share
        weight_gradient = weight_gradient + block.weight_gradient * share
    return LayerSeconds(forward, backward, weight_gradient, parts.head.forward, parts.head.backward)


def layer_totals(layer: LayerSeconds) -> LayerTotals:
    """The sums of a layer's parts."""
    head = layer.head_forward.total + layer.head_backward.total
    return LayerTotals(layer.forward.total, layer.backward.total, layer.weight_gradient, head)


def step_seconds(kernels: LayerKernels, setting: Setting) -> StepColumns:
    """Price whole steps, part by part."""
    layer = layer_seconds(blocks(kernels, setting), setting)
    whole = step_totals(layer_totals(layer), setting)
    layout, n_micro, traffic = setting.layout, setting.layout.micro_batches, whole.traffic
    head, stage = layer.head_forward + layer.head_backward, setting.stages
    per_layer = layer.forward + layer.backward
    work = (per_layer * stage.mean_layers + head * (1.0 / layout.pp)) * n_micro
    alone = layout.pp == 1
    slowest, full = _slowest_stage(per_layer.total, head.total, traffic.embedding, setting)
    slowest, full = np.where(alone, work.total, slowest * n_micro), np.where(alone, 1.0, full)
    embedding = traffic.embedding / layout.pp
    pp_exposed = whole.hops + whole.hand_shake * full * n_micro
    share = setting.hardware.collective_share
    once_exposed = traffic.once_shown + share * np.minimum(traffic.once_hidden, 0.0)
    dp_exposed = once_exposed + (traffic.shown * full + embedding) * n_micro + whole.one_by_one
    dp_hidden = np.maximum(traffic.once_hidden, 0.0) + traffic.hidden * full * n_micro
    contention = dp_hidden * share
    in_slowest = np.where(alone, 0.0, embedding * n_micro)
    rest = pp_exposed + dp_exposed + contention + whole.optimizer + whole.jitter
    return StepColumns(
        step=whole.step,
        matmul=work.matmul,
        attention=work.attention,
        elementwise=work.elementwise,
        quantize=work.quantize,
        overhead=work.overhead + setting.software.step_overhead_s,
        contention=work.contention + contention,
        tp_exposed=work.tp_exposed,
        cp_exposed=work.cp_exposed,
        ep_exposed=work.ep_exposed,
        pp_exposed=pp_exposed,
        dp_exposed=dp_exposed,
        bubble=whole.step - slowest - rest - setting.software.step_overhead_s + in_slowest,
        imbalance=slowest - work.total - in_slowest,
        optimizer=whole.optimizer,
        jitter=whole.jitter,
        tp_hidden=work.tp_hidden,
        cp_hidden=work.cp_hidden,
        ep_hidden=work.ep_hidden,
        dp_hidden=dp_hidden,
    )


def _slowest_stage(per_layer: Column, head: Column, embedding: Column, setting: Setting) -> tuple[Column, Column]:
    """(seconds of a micro-batch, layers over those of a full stage) of the stage that has most to do.

    Only between the ends are stages full: of two, both may lack layers. What shows in each pass goes by layers, too.
    """
    stage = setting.stages
    first = stage.layers_first * per_layer + embedding
    between = np.where(setting.layout.pp > 2, stage.layers * per_layer, 0.0)
    last = stage.layers_last * per_layer + head
    others = np.maximum(first, between)
    full = np.where(between >= first, 1.0, stage.layers_first / stage.layers)
    return np.maximum(others, last), np.where(last > others, stage.layers_last / stage.layers, full)


def step_totals(layer: LayerTotals, setting: Setting) -> StepTotals:
    """Price whole steps from the totals of their layers: all that a search needs of a layout."""
    layout, software, stage = setting.layout, setting.software, setting.stages
    hand_shake = software.micro_batch_overhead_s * layout.vp * (layout.pp > 1)
    split = splits_backward(layout)
    apart = np.where(split, layer.weight_gradient, 0.0)
    passes = LayerPasses(layer.forward, layer.backward - apart, apart, split)
    traffic = data_parallel(passes, stage, setting)
    waiting = _stage_passes(passes, layer.head, traffic, hand_shake, stage)
    filled = pipeline_seconds(waiting, stage, setting) + traffic.in_chain
    hops = hop_seconds(setting) * hops_that_show(setting)
    held = held_parameters(setting)
    optimizer = optimizer_seconds(held, setting)
    one_by_one = software.shard_overhead_s * (layout.dp_shard - 1.0) * (layout.sharding > Sharding.NONE)
    quiet = filled + traffic.once + (hops + optimizer + one_by_one + software.step_overhead_s)
    jitter = quiet * (software.jitter * np.log2(np.maximum(layout.world / 8.0, 1.0)))
    return StepTotals(quiet + jitter, hops, hand_shake, traffic, one_by_one, optimizer, jitter, held)


def _stage_passes(
    layer: LayerPasses, head: Column, traffic: DataParallel, hand_shake: Column, stage: Stages
) -> StagePasses:
    """Passes as long as they hold a stage: with FSDP's traffic that shows, and the hand-shakes of sends."""
    return StagePasses(
        forward=layer.forward * stage.layers + (traffic.forward + 0.5 * hand_shake),
        backward=layer.backward * stage.layers + (traffic.backward + 0.5 * hand_shake),
        weight_gradient=layer.weight_gradient * stage.layers + traffic.weight_gradient,
        head=head + traffic.head,
        embedding=traffic.embedding,
    )


def optimizer_seconds(held: StageParameters, setting: Setting) -> Column:
    """AdamW on a stage's parameters, or on the shard of them that a rank keeps the state of."""
    layout = setting.layout
    expert_ranks = np.maximum(layout.tp * layout.cp * layout.dp / (layout.ep * layout.etp), 1.0)
    sharded = layout.sharding > Sharding.NONE
    shared = held.shared / np.where(sharded, layout.dp_shard * layout.cp, 1.0)
    experts = held.experts / np.where(sharded, np.minimum(expert_ranks, layout.dp_shard * layout.cp), 1.0)
    return (shared + experts) * OPTIMIZER_BYTES / setting.hardware.memory_bytes_per_s
