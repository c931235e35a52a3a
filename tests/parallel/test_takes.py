"""Which layouts are refused, by the name of the key and before anything is built."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import grok_1_like, llama_like

from kolossos.errors import InputError
from kolossos.parallel.coordinates import degrees_of_experts, degrees_of_weights, layers_of_stages
from kolossos.parallel.takes import require_takes
from kolossos.plan.layers import chunk_layers
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec, MoESpec

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tp": 4}, "tp = 4 does not divide the model's n_kv_heads = 2"),
    ({"tp": 3}, "tp = 3 does not divide the model's n_heads = 4"),
    ({"cp": 2, "seq_len": 30}, "seq_len = 30 is not a multiple of 4"),
    ({"tp": 2, "seq_len": 31}, "seq_len = 31 is not a multiple of 2"),
    ({"ep": 3, "dp_shard": 3}, "ep = 3 does not divide the model's 4 experts"),
    ({"ep": 4, "dp_shard": 2}, "ep = 4 times etp = 1 does not divide the 2 ranks"),
    ({"ep": 2}, "ep = 2 times etp = 1 does not divide the 1 ranks"),
    ({"etp": 2}, "etp = 2 is neither 1 nor tp = 1"),
    ({"vp": 2}, "vp = 2 chunks the stages of a pipeline, and there is none"),
    ({"schedule": "zero-bubble"}, "schedule = 'zero-bubble' is a pipeline's, and there is none"),
    ({"pp": 2, "schedule": "zero-bubble", "global_batch_size": 16}, "schedule = 'zero-bubble' is not available"),
    ({"pp": 3, "vp": 2, "global_batch_size": 24}, "leaves a stage without one of the 2 layers"),
    ({"pp": 2}, "pp = 2 stages need as many micro-batches a step and there are 1"),
    ({"dp_shard": 2, "sharding": "none"}, "sharding = 'none' repeats every weight"),
]


def layout_of(changes: dict[str, Any]) -> Layout:
    return Layout(**{"micro_batch_size": 8, "global_batch_size": 8 * changes.get("dp_shard", 1), **changes})


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_cut_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        require_takes(layout_of(changes), grok_1_like())
    assert str(error.value).startswith("layout.")
    assert message in str(error.value)


def changed(**changes: Any) -> ModelSpec:
    return grok_1_like().model_copy(update=changes)


NOT_CUT: list[tuple[dict[str, Any], ModelSpec, str]] = [
    ({"tp": 2}, changed(qkv_bias=True), "layout.tp = 2 does not cut a model with qkv_bias yet"),
    ({"tp": 2}, changed(attn_output_bias=True), "layout.tp = 2 does not cut a model with attn_output_bias yet"),
    ({"tp": 2}, changed(mlp_bias=True), "layout.tp = 2 does not cut a model with mlp_bias yet"),
    ({"tp": 2}, changed(attn_sinks=True), "layout.tp = 2 does not cut a model with attn_sinks yet"),
    ({"tp": 2}, changed(qk_norm="whole"), "layout.tp = 2 does not cut a model with qk_norm = 'whole' yet"),
    ({"tp": 2}, changed(moe=MoESpec(n_experts=4, top_k=2, expert_dim=8, bias=True)), "layout.tp = 2 does not cut"),
    (
        {"ep": 2, "dp_shard": 2},
        changed(moe=MoESpec(n_experts=4, top_k=2, expert_dim=8, bias=True)),
        "layout.ep = 2 does not cut experts with biases (moe.bias) yet",
    ),
    ({"cp": 2}, changed(attn_windows=(8, 0)), "layout.cp = 2 does not cut the sequences of a model with attn_windows"),
    ({"cp": 2}, changed(attn_sinks=True), "layout.cp = 2 does not cut the sequences of a model with attn_sinks"),
]


@pytest.mark.parametrize(("layout", "model", "message"), NOT_CUT, ids=lambda value: str(value)[:40])
def test_parts_that_no_axis_cuts_are_refused_by_name(layout: dict[str, Any], model: ModelSpec, message: str) -> None:
    with pytest.raises(InputError) as error:
        require_takes(layout_of(layout), model)
    assert str(error.value).startswith(message)
    require_takes(layout_of({"dp_shard": 2}), model)


def test_norms_of_each_head_and_windows_are_taken_by_tensor_parallelism() -> None:
    assert require_takes(layout_of({"tp": 2}), changed(qk_norm="head", attn_windows=(8, 0))) is None  # not refused


def test_experts_of_a_dense_model_are_refused_and_what_fits_is_taken() -> None:
    with pytest.raises(InputError, match=r"layout\.ep = 2 is for experts, and llama-like has none"):
        require_takes(layout_of({"ep": 2, "dp_shard": 2}), llama_like())
    for changes in ({}, {"tp": 2, "etp": 2, "ep": 2, "dp_shard": 2}, {"cp": 4}, {"pp": 2, "global_batch_size": 16}):
        require_takes(layout_of(changes), grok_1_like())


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3))
def test_stages_have_the_layers_that_the_planner_counts(n_layers: int, pp: int, vp: int) -> None:
    stages = layers_of_stages(n_layers, pp * vp)
    assert [layer for layers in stages for layer in layers] == list(range(n_layers))
    counted = chunk_layers(n_layers, pp, vp)
    assert [len(layers) for layers in stages] == [counted[place % pp][place // pp] for place in range(pp * vp)]


def test_all_cuts_have_the_same_ranks() -> None:
    layout = Layout(tp=2, pp=2, cp=2, dp_shard=2, ep=4, etp=2, micro_batch_size=1, global_batch_size=2)
    assert degrees_of_weights(layout) == {"pp": 2, "dp_replicate": 1, "shard": 4, "tp": 2}
    assert degrees_of_experts(layout) == {"pp": 2, "dp_replicate": 1, "shard": 1, "ep": 4, "etp": 2}
