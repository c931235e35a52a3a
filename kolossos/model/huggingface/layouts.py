"""Which Hugging Face layout holds which ModelSpec: chosen by what the model computes, the plainest first.

A layout fixes some features and lets others be; whatever it names in neither must be as in a plain Llama. All but
Grok's are read and written by transformers itself. Grok-1 and Grok-2 are read by servers:
vllm-project/vllm@048a32c vllm/model_executor/models/grok1.py and
sgl-project/sglang@031ad4c python/sglang/srt/models/grok.py.

What those servers compute whatever config.json says (as read there): SGLang caps the router's logits at 30; vLLM has no
attention temperature, and by its default the exact GELU in place of the tanh one; both divide (dense + experts) by the
square root of 2. Of these only the last is refused at export when the model differs, for it is no small difference.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from kolossos.errors import InputError
from kolossos.specs.model import ModelSpec

LLAMA, MISTRAL, MIXTRAL = "LlamaForCausalLM", "MistralForCausalLM", "MixtralForCausalLM"
QWEN2, QWEN3, QWEN3_MOE = "Qwen2ForCausalLM", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM"
GEMMA2, OLMO2, PHI3 = "Gemma2ForCausalLM", "Olmo2ForCausalLM", "Phi3ForCausalLM"
GPT_OSS, GROK = "GptOssForCausalLM", "Grok1ForCausalLM"
READ_ONLY = {PHI3}  # what they compute is a Llama or Mistral, and written as one
GROK_BRANCH_SCALE = 2**-0.5  # hard-coded in both servers
PLAIN: dict[str, Any] = {
    "pre_norm": True,
    "post_norm": False,
    "activation": "silu",
    "mlp_bias": False,
    "qkv_bias": False,
    "attn_output_bias": False,
    "qk_norm": None,
    "attn_windows": (),
    "attn_sinks": False,
    "attn_softcap": None,
    "attn_temperature_len": None,
    "embedding_multiplier": 1.0,
    "output_multiplier": 1.0,
    "output_softcap": None,
}
PLAIN_MOE: dict[str, Any] = {"renormalize": True, "router_softcap": None, "bias": False}
ATTENTION_BIASES = frozenset({"qkv_bias", "attn_output_bias"})
WINDOWS, STRETCHES = frozenset({"attn_windows"}), frozenset({"rope_scaling", "rope_yarn"})


@dataclass(frozen=True)
class HeldBy:
    """What a layout fixes otherwise than a plain Llama, and what may have any value."""

    fixed: dict[str, Any] = field(default_factory=dict)
    free: frozenset[str] = frozenset()
    moe: dict[str, Any] | None = None
    free_moe: frozenset[str] = frozenset()
    no_stretch: bool = False


LAYOUTS = {
    LLAMA: HeldBy(free=ATTENTION_BIASES | {"mlp_bias"}),
    MISTRAL: HeldBy(free=WINDOWS),
    QWEN2: HeldBy({"qkv_bias": True}, WINDOWS),
    QWEN3: HeldBy({"qk_norm": "head"}, ATTENTION_BIASES | WINDOWS),
    OLMO2: HeldBy({"pre_norm": False, "post_norm": True, "qk_norm": "whole"}, ATTENTION_BIASES),
    GEMMA2: HeldBy(
        {"post_norm": True, "activation": "gelu_tanh"},
        ATTENTION_BIASES | WINDOWS | {"attn_softcap", "output_softcap", "attn_scale", "embedding_multiplier"},
    ),
    MIXTRAL: HeldBy(free=WINDOWS, moe={}),
    QWEN3_MOE: HeldBy({"qk_norm": "head"}, ATTENTION_BIASES | WINDOWS, moe={}, free_moe=frozenset({"renormalize"})),
    GPT_OSS: HeldBy(
        {"activation": "clamped_swiglu", "attn_sinks": True}, ATTENTION_BIASES | WINDOWS, moe={"bias": True}
    ),
    GROK: HeldBy(
        {"post_norm": True, "activation": "gelu_tanh"},
        frozenset(
            {"attn_softcap", "attn_temperature_len", "embedding_multiplier", "output_multiplier", "output_softcap"}
        ),
        moe={"renormalize": False},
        free_moe=frozenset({"router_softcap"}),
        no_stretch=True,
    ),
}
MODEL_TYPES = {
    LLAMA: "llama",
    MISTRAL: "mistral",
    MIXTRAL: "mixtral",
    PHI3: "phi3",
    QWEN2: "qwen2",
    QWEN3: "qwen3",
    QWEN3_MOE: "qwen3_moe",
    OLMO2: "olmo2",
    GEMMA2: "gemma2",
    GPT_OSS: "gpt_oss",
}
BIAS, MLP_BIAS, WINDOW = "attention_bias", "mlp_bias", "sliding_window"
OPTIONAL_KEYS: dict[str, frozenset[str]] = {
    LLAMA: frozenset({BIAS, MLP_BIAS}),
    MISTRAL: frozenset({WINDOW}),
    MIXTRAL: frozenset({WINDOW}),
    PHI3: frozenset({WINDOW}),
    QWEN2: frozenset({WINDOW}),
    QWEN3: frozenset({BIAS, WINDOW}),
    QWEN3_MOE: frozenset({BIAS, WINDOW}),
    OLMO2: frozenset({BIAS}),
    GEMMA2: frozenset({BIAS, WINDOW}),
    GPT_OSS: frozenset({BIAS, WINDOW}),
    GROK: frozenset(),
}
"""Of the biases and windows that config.json may switch on those that a layout has."""
READ = {**{name: name for name in (*LAYOUTS, *READ_ONLY)}, "Grok1ModelForCausalLM": GROK}
"""Architectures that weights are read of -> the layout they have."""


def layout_of(spec: ModelSpec) -> str:
    """The architecture that holds ``spec``; InputError naming the features that keep it out of the nearest layouts."""
    wanted = {name: held for name, held in LAYOUTS.items() if (held.moe is None) == (spec.moe is None)}
    obstacles = {name: _obstacles(spec, name, held) for name, held in wanted.items()}
    for architecture, found in obstacles.items():
        if not found:
            return architecture
    nearest = sorted(obstacles.items(), key=lambda item: len(item[1]))[:2]
    reasons = "; ".join(f"{name} has no {', '.join(found)}" for name, found in nearest)
    raise InputError(f"no Hugging Face layout can hold the model {spec.name!r}: {reasons}")


def server_notes(spec: ModelSpec) -> list[str]:
    """What of an export of ``spec`` the servers that read its layout cannot serve, one sentence each."""
    if layout_of(spec) != GROK:
        return []
    notes = ["transformers has no Grok network and refuses this folder; vLLM, SGLang and kolossos read it"]
    if spec.head_dim * spec.n_heads != spec.dim:
        notes.append(
            f"vLLM cannot serve this model: it takes dim / n_heads = {spec.dim / spec.n_heads:g} for the width of a "
            f"head, and here head_dim = {spec.head_dim}"
        )
    if spec.attn_temperature_len is not None:
        notes.append("vLLM has no attention temperature: positions beyond attn_temperature_len come out otherwise")
    if spec.moe and spec.moe.router_softcap not in (None, 30.0):
        notes.append(f"SGLang caps the router's logits at 30, and here router_softcap = {spec.moe.router_softcap:g}")
    return notes


def _obstacles(spec: ModelSpec, architecture: str, held: HeldBy) -> list[str]:
    expected = {key: value for key, value in (PLAIN | held.fixed).items() if key not in held.free}
    found = [f"{key} = {getattr(spec, key)}" for key, value in expected.items() if getattr(spec, key) != value]
    if "attn_scale" not in held.free and not math.isclose(spec.attention_scale, spec.head_dim**-0.5, rel_tol=1e-6):
        found.append(f"attn_scale = {spec.attn_scale}")
    if held.no_stretch:
        found += [f"{key} = {getattr(spec, key)}" for key in sorted(STRETCHES) if getattr(spec, key) is not None]
    if spec.moe is not None:
        experts = {key: value for key, value in (PLAIN_MOE | (held.moe or {})).items() if key not in held.free_moe}
        found += [f"moe.{k} = {getattr(spec.moe, k)}" for k, v in experts.items() if getattr(spec.moe, k) != v]
        if architecture != GROK and spec.ffn_dim is not None:
            found.append(f"ffn_dim = {spec.ffn_dim}")
        if architecture == GROK and spec.ffn_dim and not math.isclose(spec.branch_scale, GROK_BRANCH_SCALE):
            found.append(f"branch_scale = {spec.branch_scale}")
    return found + _misshaped(spec, architecture, held)


def _misshaped(spec: ModelSpec, architecture: str, held: HeldBy) -> list[str]:
    """Features that a layout has, but not with these values."""
    found = []
    if held.free >= ATTENTION_BIASES and spec.qkv_bias != spec.attn_output_bias:
        found.append(f"qkv_bias = {spec.qkv_bias} with attn_output_bias = {spec.attn_output_bias}")
    windows = set(spec.attn_windows)
    mixed = architecture in (MISTRAL, MIXTRAL, QWEN3_MOE) and len(windows) > 1
    if "attn_windows" in held.free and (mixed or len(windows - {0}) > 1):
        found.append(f"attn_windows = {list(spec.attn_windows)}")
    multiplier = spec.embedding_multiplier
    if architecture == GEMMA2 and not math.isclose(multiplier, spec.dim**0.5, rel_tol=1e-6):
        found.append(f"embedding_multiplier = {multiplier}")
    if architecture == GEMMA2 and not math.isclose(spec.attention_scale**-2, round(spec.attention_scale**-2)):
        found.append(f"attn_scale = {spec.attn_scale}")  # query_pre_attn_scalar is a whole number
    return found
