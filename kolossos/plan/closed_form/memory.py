"""Bytes that one GPU needs, by part, for the stage that needs most.

Activations follow Korthikanti et al. (arXiv:2205.05198, section 4), tensor by tensor from the widths, so that gated
MLPs, grouped queries and experts are counted too; micro-batches in flight follow the schedule.
"""

from dataclasses import dataclass, fields

import numpy as np

from kolossos.plan.choices import Recompute, Sharding
from kolossos.plan.closed_form.parameters import StageParameters, held_parameters, vocabulary_copies
from kolossos.plan.closed_form.work import BF16_BYTES, expert_tokens, has_experts, tokens
from kolossos.plan.columns import Column, Columns, LayoutColumns, ModelColumns
from kolossos.plan.schedules import by_schedule
from kolossos.plan.setting import Setting

MASTER_BYTES = 4.0
MOMENTS_BYTES = 8.0
"""AdamW: two moments in fp32."""


@dataclass(frozen=True)
class MemoryColumns(Columns):
    """Bytes per GPU; ``total`` is the sum with what the runtime holds."""

    weights: Column
    gradients: Column
    optimizer: Column
    activations: Column
    logits: Column
    """What the last stage needs more than the first: all of its logits if there is but one stage."""
    buffers: Column
    runtime: Column

    @property
    def total(self) -> Column:
        """All of it."""
        parts = self.weights + self.gradients + self.optimizer + self.activations + self.logits
        return parts + self.buffers + self.runtime


@dataclass(frozen=True)
class ActivationBytes(Columns):
    """What one micro-batch holds on a rank: few distinct rows, which a search gathers."""

    kept: Column
    """By one layer, until its backward."""
    working: Column
    """By the layer that is being computed again."""
    logits: Column


def memory_bytes(setting: Setting) -> MemoryColumns:
    """Of the fullest stage: the first one (most micro-batches in flight), or the only one."""
    return memory_with(activation_bytes(setting), setting)


def activation_bytes(setting: Setting) -> ActivationBytes:
    """Activations with recompute as the layout asks for, and the logits."""
    layer, layout = layer_activations(setting), setting.layout
    head = setting.model.vocab * setting.model.dim * vocabulary_copies(setting) / layout.tp
    return ActivationBytes(
        kept=_kept(layer, setting),
        working=np.where(layout.recompute == Recompute.FULL, layer.everything, 0.0),
        logits=tokens(layout) * setting.model.vocab / layout.tp * setting.software.logits_bytes
        + head * setting.software.head_bytes,
    )


def memory_with(activations: ActivationBytes, setting: Setting, held: StageParameters | None = None) -> MemoryColumns:
    """Memory whose activations are known, and perhaps the parameters of the fullest stage."""
    layout, sharding = setting.layout, setting.layout.sharding
    stage = setting.stages
    whole, shard = _spread(held or held_parameters(setting), setting)
    used = setting.software.gather_bytes
    gathered = np.where(
        sharding == Sharding.PARAMETERS, 2.0 * whole / np.maximum(stage.layers, 1.0) * (used + 2.0), 0.0
    )
    # what is gathered in fp32 is the master copy where it is not another tensor
    one_copy = (used > BF16_BYTES) & ((sharding == Sharding.NONE) | (sharding == Sharding.PARAMETERS))
    alive = by_schedule(layout, lambda one: one.in_flight, layout)
    per_layer = activations.kept * setting.software.activation_scale
    first = per_layer * (stage.layers * alive.first)
    last = per_layer * (stage.layers_last * alive.last) + activations.logits
    return MemoryColumns(
        weights=np.where(sharding == Sharding.PARAMETERS, shard, whole) * used,
        gradients=np.where(sharding >= Sharding.GRADIENTS, shard, whole) * setting.software.gradient_bytes,
        optimizer=np.where(sharding >= Sharding.OPTIMIZER, shard, whole)
        * (MOMENTS_BYTES + MASTER_BYTES * (1.0 - one_copy)),
        activations=first,
        logits=np.maximum(last - first, 0.0),
        buffers=gathered + activations.working,
        runtime=setting.software.runtime_bytes + np.zeros_like(whole),
    )


def _spread(held: StageParameters, setting: Setting) -> tuple[Column, Column]:
    """Parameters of a rank: whole, and its shard over the ranks that share them."""
    layout = setting.layout
    ranks = np.maximum(layout.tp * layout.cp * layout.dp_shard / (layout.ep * layout.etp), 1.0)
    return held.total, held.shared / (layout.dp_shard * layout.cp) + held.experts / ranks


@dataclass(frozen=True)
class LayerActivations:
    """Bytes of one layer and one micro-batch that backward needs."""

    everything: Column
    """With no recompute, scores included where they are written."""
    scores: Column
    cheap: Column
    """Outputs of norms and activations, which 'selective' makes again from their inputs."""
    entrance: Column
    """The input of the layer alone."""


def layer_activations(setting: Setting) -> LayerActivations:
    """Averages over the layers of the model."""
    if setting.model.kinds:
        kinds = [(layer_activations(kind), kind.model.share) for kind in setting.by_kind()]
        names = [f.name for f in fields(LayerActivations)]
        return LayerActivations(**{n: np.asarray(sum(getattr(one, n) * share for one, share in kinds)) for n in names})
    model, layout = setting.model, setting.layout
    t, b = tokens(layout), BF16_BYTES
    spread = t / np.where(setting.sequence_parallel > 0, layout.tp, 1.0)
    stream = spread * model.dim * b
    moe = model.n_moe_layers / model.n_layers
    heads = (2 * model.n_heads + 2 * np.maximum(model.n_kv_heads, layout.tp)) / layout.tp
    attention = (2 * stream + t * heads * model.head_dim * b) * model.attention
    hidden = (model.up_matrices + 1) * t * model.ffn_dim / layout.tp * b
    dense = 2 * stream + hidden
    routed = expert_tokens(model, layout)
    inner = (model.up_matrices + 1) * (routed * model.expert_dim / layout.etp + t * model.shared_dim / layout.tp) * b
    experts = (2 * stream + 2 * routed * model.expert_in * b + inner) * has_experts(model)
    beside = np.where(model.dense_beside_experts > 0, 1.0, 1.0 - moe) * (model.ffn_dim > 0)
    written = (setting.software.flash_attention == 0) * 2.5
    area = layout.micro_batch_size * model.n_heads / layout.tp * layout.seq_len * layout.seq_len / layout.cp
    scores = area * b * written
    share = 1.0 / (model.up_matrices + 1)
    cheap = 2 * stream + (hidden * beside + inner * moe) * share
    state = _state_activations(model, layout, stream) if np.any(model.state_heads) else 0.0
    streams = stream * model.streams
    more = 2 * (streams - stream) * model.attention  # the input of each of two blocks
    kept = attention + dense * beside + experts * moe + scores + state + more
    return LayerActivations(kept, scores, cheap, streams)


def _state_activations(model: ModelColumns, layout: LayoutColumns, stream: Column) -> Column:
    """Inputs and outputs of the projections, what the convolution makes, and a state in 32 bits for each chunk."""
    t = tokens(layout)
    widths = model.state_in + model.state_conv + 2 * model.state_heads * model.state_value
    states = model.state_heads * model.state_key * model.state_value / np.maximum(model.state_chunk, 1.0)
    kept = t / layout.tp * (widths * BF16_BYTES + 4.0 * states * (1.0 - model.state_scan))
    return (2 * stream + kept) * (model.state_heads > 0)


def _kept(layer: LayerActivations, setting: Setting) -> Column:
    recompute = setting.layout.recompute
    selective = layer.everything - layer.scores - layer.cheap * setting.software.selective_drops
    return np.where(
        recompute == Recompute.FULL,
        layer.entrance,
        np.where(recompute == Recompute.SELECTIVE, selective, layer.everything),
    )
