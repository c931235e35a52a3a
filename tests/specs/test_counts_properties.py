"""What holds of the counts for every spec."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kolossos.specs.counts import (
    attention_flops_per_token,
    count_parameters,
    count_parameters_by_layer_kind,
    training_flops_per_token,
)
from kolossos.specs.model import ModelSpec


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Any mix of the features, small."""
    small = st.integers(1, 6)
    n_kv_heads, group = draw(small), draw(small)
    experts = draw(st.booleans())
    values: dict[str, Any] = {
        "name": "any",
        "n_layers": draw(st.integers(3, 12)),
        "dim": 8 * draw(small),
        "n_heads": n_kv_heads * group,
        "n_kv_heads": n_kv_heads,
        "head_dim": 2 * draw(small),
        "vocab_size": draw(st.integers(1, 100)),
        "max_seq_len": 64,
        "ffn_dim": draw(st.integers(1, 40)),
        "gated_mlp": draw(st.booleans()),
        "post_norm": draw(st.booleans()),
        "tied_embeddings": draw(st.booleans()),
    }
    if draw(st.booleans()):
        nope, rope = 2 * draw(small), 2 * draw(small)
        ranks = {"q_lora_rank": draw(st.none() | small), "kv_lora_rank": draw(small)}
        values["mla"] = ranks | {"qk_nope_head_dim": nope, "qk_rope_head_dim": rope, "v_head_dim": draw(small)}
        values |= {"head_dim": nope + rope, "n_kv_heads": values["n_heads"]}
    if experts:
        top_k = draw(st.integers(1, 4))
        values["moe"] = {
            "n_experts": draw(st.integers(top_k, 8)),
            "top_k": top_k,
            "expert_dim": draw(st.integers(1, 20)),
            "shared_dim": draw(st.none() | st.integers(1, 20)),
            "every": draw(st.integers(1, 3)),
        }
        values["first_dense_layers"] = draw(st.integers(0, 2))
    return ModelSpec.model_validate(values)


def changed(spec: ModelSpec, **changes: Any) -> ModelSpec:
    return ModelSpec.model_validate(spec.model_dump() | changes)


@given(specs())
def test_the_whole_is_the_sum_of_its_layers(spec: ModelSpec) -> None:
    count, kinds = count_parameters(spec), count_parameters_by_layer_kind(spec)
    assert sum(kind.n_layers for kind in kinds.values()) == spec.n_layers
    for which in ("total", "active"):
        layers = sum(kind.n_layers * getattr(kind.each, which) for kind in kinds.values())
        assert getattr(count, which) == layers + spec.dim + count.embedding + count.output


@given(specs())
def test_one_more_period_of_layers_adds_exactly_its_layers(spec: ModelSpec) -> None:
    period = spec.moe.every if spec.moe else 1
    more = changed(spec, n_layers=spec.n_layers + period)
    if more.dense_beside_experts != spec.dense_beside_experts:
        return  # a dense branch beside the experts is another kind of layer
    kinds = count_parameters_by_layer_kind(more)
    dense = (period - 1 if spec.moe else 1) * (kinds["dense"].each.total if "dense" in kinds else 0)
    added = dense + (kinds["moe"].each.total if spec.moe else 0)
    assert count_parameters(more).total - count_parameters(spec).total == added


@given(specs())
def test_active_parameters_are_all_only_without_a_choice_of_experts(spec: ModelSpec) -> None:
    count = count_parameters(spec)
    chosen = spec.moe is not None and spec.moe.top_k < spec.moe.n_experts and spec.n_moe_layers > 0
    assert count.active < count.total if chosen else count.active == count.total
    assert count.matmul_active <= count.active


@given(specs())
def test_tying_saves_one_table_and_no_flops(spec: ModelSpec) -> None:
    tied, untied = changed(spec, tied_embeddings=True), changed(spec, tied_embeddings=False)
    assert count_parameters(untied).total - count_parameters(tied).total == spec.vocab_size * spec.dim
    assert training_flops_per_token(tied, 32) == training_flops_per_token(untied, 32)


@given(specs(), st.integers(1, 8))
def test_all_experts_at_once_are_one_dense_mlp_of_the_summed_width(spec: ModelSpec, n_experts: int) -> None:
    width = 5
    shared = spec.moe.shared_dim if spec.moe else None
    moe = {"n_experts": n_experts, "top_k": n_experts, "expert_dim": width, "shared_dim": shared}
    experts = changed(spec, moe=moe, ffn_dim=None, first_dense_layers=0)
    dense = changed(spec, moe=None, ffn_dim=n_experts * width + (shared or 0), first_dense_layers=0)
    router = spec.n_layers * spec.dim * n_experts
    assert count_parameters(experts).matmul_active - router == count_parameters(dense).matmul_active
    assert training_flops_per_token(experts, 32) - 6 * router == training_flops_per_token(dense, 32)


@given(specs())
def test_a_gate_is_half_as_much_again(spec: ModelSpec) -> None:
    gated, plain = (count_parameters(changed(spec, gated_mlp=gated)) for gated in (True, False))
    for part in ("dense_mlp", "experts", "active_experts", "shared_experts"):
        assert 2 * getattr(gated, part) == 3 * getattr(plain, part)


@given(specs(), st.integers(1, 10_000))
def test_flops_grow_with_length_by_attention_alone(spec: ModelSpec, seq_len: int) -> None:
    causal = attention_flops_per_token(spec, seq_len)
    full = attention_flops_per_token(spec, seq_len, causal=False)
    assert causal * 2 * seq_len == full * (seq_len + 1)
    assert causal <= full
    assert training_flops_per_token(spec, seq_len) == 6.0 * count_parameters(spec).matmul_active + 3 * causal


@given(specs(), st.integers(1, 6))
def test_fewer_key_heads_save_parameters_and_no_attention_flops(spec: ModelSpec, group: int) -> None:
    heads = spec.n_kv_heads * group
    grouped = changed(spec, mla=None, n_heads=heads)
    full = changed(grouped, n_kv_heads=heads)
    saved = count_parameters(full).attention - count_parameters(grouped).attention
    assert saved == spec.n_layers * 2 * spec.dim * spec.head_dim * (heads - spec.n_kv_heads)
    assert attention_flops_per_token(full, 64) == attention_flops_per_token(grouped, 64)
