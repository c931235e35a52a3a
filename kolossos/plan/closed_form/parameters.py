"""Parameters that one rank holds, by the group that shares their gradients."""

from dataclasses import dataclass, replace

import numpy as np

from kolossos.plan.closed_form.work import has_experts, more_values
from kolossos.plan.columns import Column, LayoutColumns, ModelColumns
from kolossos.plan.setting import Setting


@dataclass(frozen=True)
class LayerParameters:
    """Of one layer on one rank, before any sharding over dp."""

    attention: Column
    dense: Column
    experts: Column
    """Routed experts: their gradients are shared by fewer ranks."""
    beside_experts: Column
    """Router and shared experts."""
    vocabulary: Column
    """One matrix between tokens and the residual stream."""
    kinds: tuple["LayerParameters", ...] = ()
    """One by one, where the model has several kinds of layer."""


def layer_parameters(model: ModelColumns, layout: LayoutColumns) -> LayerParameters:
    """Matrices only; norms and biases are left out (below 0.1 %). ``attention`` has the states of layers in it."""
    if model.kinds:
        kinds = tuple(layer_parameters(kind, layout) for kind in model.kinds)
        return replace(kinds[0], kinds=kinds)
    d, tp = model.dim, layout.tp
    plain = d * model.head_dim * (2 * model.n_heads + 2 * np.maximum(model.n_kv_heads, tp))
    plain = plain + d * (np.maximum(model.n_kv_heads, tp) * more_values(model))
    plain = plain + d * (model.n_heads * (model.v_head_dim - model.head_dim))
    q_in = np.where(model.q_rank > 0, model.q_rank, d)
    nope = model.head_dim - model.rope_dim
    latent = q_in * model.n_heads * model.head_dim + model.n_heads * model.v_head_dim * d
    latent = latent + model.kv_rank * model.n_heads * (nope + model.v_head_dim)
    whole = model.mla * d * (model.q_rank + model.kv_rank + model.rope_dim)
    expert = (model.up_matrices + 1) * model.expert_in * model.expert_dim * has_experts(model)
    shared = (model.up_matrices + 1) * d * model.shared_dim / tp + 2 * d * model.latent
    own = np.where(model.mla > 0, latent, plain) * model.attention
    beside = model.attention_extra + 3 * model.layer_in
    state = d * (model.state_in + model.state_heads * model.state_value) + model.state_inner
    return LayerParameters(
        attention=own / tp + whole + (d * beside + model.layer_table + state) / tp,
        dense=(model.up_matrices + 1) * d * model.ffn_dim / tp,
        experts=expert * np.maximum(model.n_experts / layout.ep, 1.0) / layout.etp,
        beside_experts=(shared + d * model.n_experts) * has_experts(model),
        vocabulary=model.vocab * d / tp,
    )


@dataclass(frozen=True)
class StageParameters:
    """Of the fullest stage on one rank."""

    shared: Column
    """All but the routed experts: reduced over dp x cp ranks."""
    experts: Column

    @property
    def total(self) -> Column:
        return self.shared + self.experts


def stage_parameters(
    model: ModelColumns, layout: LayoutColumns, layers: Column, vocabularies: Column
) -> StageParameters:
    """A stage of ``layers`` layers and ``vocabularies`` embedding or output matrices."""
    return stage_of_layers(layer_parameters(model, layout), model, layers, vocabularies)


def stage_of_layers(
    per_layer: LayerParameters, model: ModelColumns, layers: Column, vocabularies: Column
) -> StageParameters:
    """The same from layers that are known."""
    if model.kinds:
        parts = [
            stage_of_layers(own, kind, layers * kind.share, np.zeros(()))
            for own, kind in zip(per_layer.kinds, model.kinds, strict=True)
        ]
        shared = sum(part.shared for part in parts) + vocabularies * per_layer.vocabulary
        return StageParameters(np.asarray(shared), np.asarray(sum(part.experts for part in parts)))
    moe = model.n_moe_layers / model.n_layers
    dense = per_layer.dense * np.where(model.dense_beside_experts > 0, 1.0, 1.0 - moe)
    shared = layers * (per_layer.attention + dense + moe * per_layer.beside_experts)
    return StageParameters(shared + vocabularies * per_layer.vocabulary, layers * moe * per_layer.experts)


def held_parameters(setting: Setting) -> StageParameters:
    """Parameters of the fullest stage on one rank."""
    pipelined = setting.layout.pp > 1
    vocabularies = np.where(pipelined, 1.0, 1.0 + setting.model.untied) * vocabulary_copies(setting)
    return stage_parameters(setting.model, setting.layout, setting.stages.layers, vocabularies)


def vocabulary_copies(setting: Setting) -> Column:
    """How many times the tp-th part of a vocabulary matrix a rank uses: tp where it is whole on every rank of tp."""
    return np.where(setting.software.vocabulary_parallel > 0, 1.0, setting.layout.tp)
