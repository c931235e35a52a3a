"""Families of the field: the logits of transformers own network, both ways, and the same after a round trip."""

from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_specs import TOKENS, logits_of, model_of

from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.huggingface import export_huggingface, load_huggingface, spec_from_huggingface
from kolossos.model.huggingface.config import config_from_spec
from kolossos.model.huggingface.layouts import READ
from kolossos.specs.counts import count_parameters
from kolossos.specs.model import ModelSpec

SIZES: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
QWEN_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 40, "head_dim": 16}
OSS = {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16, "sliding_window": 6}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "rope_theta": 10_000.0}
GEMMA = {"head_dim": 24, "query_pre_attn_scalar": 40, "sliding_window": 6, "attn_logit_softcapping": 2.0}
UPPER = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2}
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "llama, attention biases": ("Llama", {"attention_bias": True}, "Llama"),
    "llama, all biases": ("Llama", {"attention_bias": True, "mlp_bias": True}, "Llama"),
    "llama, yarn": ("Llama", {"rope_parameters": YARN}, "Llama"),
    "llama, yarn of DeepSeek": (
        "Llama",
        {"rope_parameters": YARN | {"mscale": 1.0, "mscale_all_dim": 0.7, "beta_fast": 16, "beta_slow": 2}},
        "Llama",
    ),
    "mistral": ("Mistral", {"sliding_window": None}, "Llama"),
    "mistral, window": ("Mistral", {"sliding_window": 7}, "Mistral"),
    "mistral, window beyond the context": ("Mistral", {"sliding_window": 4096}, "Llama"),
    "mistral, wide heads": ("Mistral", {"sliding_window": 7, "head_dim": 24}, "Mistral"),
    "mixtral, window": ("Mixtral", {"sliding_window": 7, "num_local_experts": 4}, "Mixtral"),
    "qwen2": ("Qwen2", {}, "Qwen2"),
    "qwen2, tied": ("Qwen2", {"tie_word_embeddings": True}, "Qwen2"),
    "qwen2, windows above": ("Qwen2", UPPER, "Qwen2"),
    "qwen3": ("Qwen3", {"head_dim": 24}, "Qwen3"),
    "qwen3, biases, windows": ("Qwen3", {"head_dim": 24, "attention_bias": True, **UPPER}, "Qwen3"),
    "qwen3 moe": ("Qwen3Moe", QWEN_MOE, "Qwen3Moe"),
    "qwen3 moe, renormalized": ("Qwen3Moe", QWEN_MOE | {"norm_topk_prob": True}, "Qwen3Moe"),
    "gemma2": ("Gemma2", GEMMA, "Gemma2"),
    "gemma2, no caps": ("Gemma2", GEMMA | {"attn_logit_softcapping": None, "final_logit_softcapping": None}, "Gemma2"),
    "olmo2": ("Olmo2", {}, "Olmo2"),
    "phi3": ("Phi3", {}, "Llama"),
    "phi3, window": ("Phi3", {"sliding_window": 7}, "Mistral"),
    "gpt-oss": ("GptOss", OSS, "GptOss"),
    "gpt-oss, no stretch": ("GptOss", OSS | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, "GptOss"),
}


def theirs_of(name: str) -> torch.nn.Module:
    """transformers' network with random values in every parameter: biases, norms and sinks begin as constants."""
    transformers = pytest.importorskip("transformers")
    family, change, _ = CASES[name]
    config = getattr(transformers, f"{family}Config")(**(SIZES | change))
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    network = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def difference(theirs: torch.nn.Module, ours: Decoder) -> float:
    with torch.no_grad():
        return (theirs(TOKENS).logits - logits_of(ours)).abs().max().item()


def cached_logits(model: Decoder) -> torch.Tensor:
    """The path of generation: a prompt, then one token at a time."""
    from kolossos.serve.cache import KeyValueCache

    cache, parts = KeyValueCache(model, len(TOKENS), TOKENS.shape[1]), []
    for start, end in [(0, 9), *((at, at + 1) for at in range(9, TOKENS.shape[1]))]:
        positions = torch.arange(start, end).expand(len(TOKENS), -1)
        hidden, _ = model(
            TOKENS[:, start:end], positions_BS=positions, allowed_BST=cache.allowed(positions), caches=cache.layers
        )
        parts.append(hidden)
    return model.logits(torch.cat(parts, dim=1))


@pytest.mark.parametrize("name", CASES)
def test_a_family_has_transformers_logits_both_ways(name: str, tmp_path: Path) -> None:
    theirs = theirs_of(name)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_huggingface(tmp_path / "theirs")
    assert difference(theirs, ours) <= 1e-4
    with torch.no_grad():
        assert (cached_logits(ours) - logits_of(ours)).abs().max().item() <= 1e-4
    assert count_parameters(ours.spec).total == sum(p.numel() for p in theirs.parameters())

    import transformers

    export_huggingface(ours, tmp_path / "ours", None, dtype="float32")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype=torch.float32).eval()
    assert type(again).__name__ == f"{CASES[name][2]}ForCausalLM"
    assert difference(again, ours) <= 1e-4
    assert load_huggingface(tmp_path / "ours").spec.model_copy(update={"name": ours.spec.name}) == ours.spec


@pytest.mark.parametrize("name", ["gpt-oss", "gemma2", "olmo2", "qwen3, biases, windows", "phi3, window"])
def test_a_family_trains_with_transformers_gradients(name: str, tmp_path: Path) -> None:
    theirs = theirs_of(name)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_huggingface(tmp_path / "theirs").requires_grad_(True)
    loss = ours.loss(ours(TOKENS[:, :-1])[0], TOKENS[:, 1:])
    loss.backward()
    expected = torch.nn.functional.cross_entropy(
        theirs(TOKENS[:, :-1]).logits.flatten(0, 1), TOKENS[:, 1:].flatten(), reduction="sum"
    )
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    squares = [sum(p.grad.double().square().sum().item() for p in m.parameters()) for m in (ours, theirs)]
    assert squares[0] == pytest.approx(squares[1], rel=1e-4)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in ours.parameters())


@pytest.mark.parametrize("architecture", [name for name in READ if name != "Grok1ModelForCausalLM"])
def test_the_model_type_is_enough(architecture: str) -> None:
    transformers = pytest.importorskip("transformers")
    family = architecture.removesuffix("ForCausalLM")
    if not hasattr(transformers, f"{family}Config"):
        pytest.skip("Grok has no model type of its own")
    values = SIZES | {"Qwen3Moe": QWEN_MOE, "GptOss": OSS, "Mixtral": {"num_local_experts": 4}}.get(family, {})
    config = getattr(transformers, f"{family}Config")(**values).to_dict()
    assert not config["architectures"]
    named = spec_from_huggingface(config | {"architectures": [architecture]})
    assert spec_from_huggingface(config) == named


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("phi3", {"rope_parameters": {"rope_type": "longrope"}}, "longrope"),
        ("phi3", {"partial_rotary_factor": 0.75}, "partial_rotary_factor"),
        ("gpt-oss", {"swiglu_limit": 5.0}, "swiglu_limit = 5.0"),
        ("gpt-oss", {"quantization_config": {"quant_method": "mxfp4"}}, "quantization_config"),
        ("qwen3", {"layer_types": ["chunked_attention"] * 4}, "chunked_attention"),
        ("qwen3 moe", {"mlp_only_layers": [0]}, "dense first layers"),
        ("gemma2", {"hidden_activation": "relu"}, "relu"),
        ("gemma2", {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ("mistral", {"attention_bias": True}, "attention_bias"),
        ("mistral", {"rope_parameters": {"rope_type": "dynamic"}}, "dynamic"),
    ],
)
def test_what_a_family_has_beyond_the_network_is_refused_by_name(name: str, change: dict, named: str) -> None:
    transformers = pytest.importorskip("transformers")
    family, own, _ = CASES[name]
    config = getattr(transformers, f"{family}Config")(**(SIZES | own)).to_dict()
    with pytest.raises(InputError, match=named) as caught:
        Decoder(spec_from_huggingface(config | {"architectures": [f"{family}ForCausalLM"]} | change))
    assert "\n" not in str(caught.value)


def test_windows_and_sinks_that_no_layout_has_are_named() -> None:
    spec = ModelSpec(
        name="windows", n_layers=2, dim=64, n_heads=4, n_kv_heads=2, head_dim=16, vocab_size=96, max_seq_len=64,
        ffn_dim=96, attn_windows=(4, 8),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"attn_windows = \[4, 8\]"):
        config_from_spec(spec, "bfloat16")
    with pytest.raises(InputError, match="attn_sinks = True"):
        config_from_spec(spec.model_copy(update={"attn_windows": (), "attn_sinks": True}), "bfloat16")
    assert logits_of(model_of(spec.model_copy(update={"attn_sinks": True}))).isfinite().all()
