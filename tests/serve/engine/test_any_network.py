"""Decoders of random shapes, odd ones too: the kernels agree with the decoder, and no row knows its company."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_networks import IDS, LENGTH, at_once, in_pieces_and_company, native, random_model

from kolossos.model.decoder import Decoder
from kolossos.specs.model import ModelSpec, MoESpec

maybe = st.booleans()


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Any decoder that is built, of sizes that fit no vector."""
    kv_heads, group = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 3, 5, 13]))
    n_experts = draw(st.integers(1, 9))
    biased = draw(maybe)
    moe = MoESpec(
        n_experts=n_experts,
        top_k=draw(st.integers(1, min(4, n_experts))),
        expert_dim=draw(st.integers(1, 50)),
        renormalize=draw(maybe),
        router_softcap=draw(st.sampled_from([None, 20.0])),
        bias=biased,
    )
    kind = draw(st.sampled_from(["dense", "experts", "both"]))
    clamped = kind == "experts" and biased and draw(maybe)
    pre_norm = draw(maybe)
    return ModelSpec(
        name="random",
        n_layers=draw(st.integers(1, 3)),
        dim=draw(st.integers(3, 70)),
        n_heads=kv_heads * group,
        n_kv_heads=kv_heads,
        head_dim=2 * draw(st.integers(1, 21)),
        vocab_size=draw(st.integers(97, 140)),
        max_seq_len=draw(st.integers(LENGTH, 90)),
        ffn_dim=None if kind == "experts" else draw(st.integers(1, 60)),
        mlp_bias=draw(maybe),
        moe=None if kind == "dense" else moe,
        branch_scale=2**-0.5 if kind == "both" else 1.0,
        activation="clamped_swiglu" if clamped else draw(st.sampled_from(["silu", "gelu_tanh"])),
        pre_norm=pre_norm,
        post_norm=not pre_norm or draw(maybe),
        qkv_bias=draw(maybe),
        attn_output_bias=draw(maybe),
        qk_norm=draw(st.sampled_from([None, "head", "whole"])),
        attn_sinks=draw(maybe),
        attn_softcap=draw(st.sampled_from([None, 8.0])),
        attn_windows=draw(st.sampled_from([(), (5, 0), (17,)])),
        attn_temperature_len=draw(st.sampled_from([None, 9])),
        tied_embeddings=draw(maybe),
        embedding_multiplier=draw(st.sampled_from([1.0, 5.0])),
        output_multiplier=draw(st.sampled_from([1.0, 0.5])),
        output_softcap=draw(st.sampled_from([None, 30.0])),
    )


def logits_in_fp64(model: Decoder) -> np.ndarray:
    with torch.no_grad():
        hidden, _ = model.double()(torch.tensor([IDS]), dtype=torch.float64)
        return model.logits(hidden)[0].numpy()


@settings(max_examples=25, deadline=None)
@given(spec=specs())
def test_any_decoder_is_computed_as_it_is_and_exactly(spec: ModelSpec) -> None:
    wanted = logits_in_fp64(random_model(spec))
    made = at_once(native(random_model(spec)))
    assert np.abs(made - wanted).max() <= 1e-4 * max(1.0, np.abs(wanted).max())
    for options in ({}, {"weights": "int8"}, {"weights": "bf16", "threads": 2}):
        network = native(random_model(spec), **options)
        assert np.array_equal(in_pieces_and_company(network), at_once(network)), options
