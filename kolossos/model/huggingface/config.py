"""config.json of the Hugging Face layouts, both ways. Which layout holds what: layouts.py."""

import json
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.model.activation import SWIGLU_ALPHA, SWIGLU_LIMIT
from kolossos.model.huggingface.layouts import (
    GEMMA2,
    GPT_OSS,
    GROK,
    MISTRAL,
    MIXTRAL,
    MODEL_TYPES,
    OPTIONAL_KEYS,
    QWEN3_MOE,
    READ,
    layout_of,
)
from kolossos.specs.huggingface import ACTIVATIONS, CONFIG_FILE, FULL, SLIDING, spec_from_config
from kolossos.specs.model import ModelSpec

GROK_MODEL_TYPE = "qwen2_5_omni_text"
"""A type whose configuration transformers can read, as the servers do, and for which it has no network to open."""

BY_MODEL_TYPE = {kind: architecture for architecture, kind in MODEL_TYPES.items()}
STRETCHES = ("default", "original", "llama3", "yarn")  # "original" is Grok-2's word for none


def config_from_spec(spec: ModelSpec, dtype: str) -> dict[str, Any]:
    """The contents of config.json for weights stored as ``dtype`` ("bfloat16" or "float32")."""
    architecture = layout_of(spec)
    config: dict[str, Any] = {
        "architectures": [architecture],
        "model_type": GROK_MODEL_TYPE if architecture == GROK else MODEL_TYPES[architecture],
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.dim,
        "intermediate_size": spec.ffn_dim or (spec.moe.expert_dim if spec.moe else None),
        "num_hidden_layers": spec.n_layers,
        "num_attention_heads": spec.n_heads,
        "num_key_value_heads": spec.n_kv_heads,
        "head_dim": spec.head_dim,
        "hidden_act": "gelu_pytorch_tanh" if spec.activation == "gelu_tanh" else "silu",
        "max_position_embeddings": spec.max_seq_len,
        "rms_norm_eps": spec.norm_eps,
        "rope_theta": spec.rope_theta,
        "tie_word_embeddings": spec.tied_embeddings,
        "torch_dtype": dtype,
    }
    config |= _stretch_keys(spec) | _feature_keys(spec, architecture)
    return config | (_grok_keys(spec) if architecture == GROK else {})


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder; InputError if there is none or it is no JSON object."""
    file = folder / CONFIG_FILE
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: not a Hugging Face folder: it has no {CONFIG_FILE}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{file} holds no JSON object")
    return config


def architecture_of(config: dict[str, Any]) -> str:
    """The layout that config.json names, by its model_type where it has no architectures; InputError if unknown."""
    kind = config.get("model_type")
    named = config.get("architectures") or [BY_MODEL_TYPE.get(kind, kind) if isinstance(kind, str) else None]
    if not isinstance(named, list) or not isinstance(named[0], str):
        raise InputError("config.json names no architecture (keys 'architectures' and 'model_type')")
    if named[0] not in READ:
        raise InputError(f"config.json: architecture {named[0]!r} is unknown here; known: {', '.join(READ)}")
    return READ[named[0]]


def spec_from_huggingface(config: dict[str, Any], name: str = "huggingface") -> ModelSpec:
    """The ModelSpec that config.json describes, if it describes the whole network.

    Raises:
        InputError: a missing key, an unknown architecture, or a feature that Kolossos does not have.
    """
    architecture = architecture_of(config)
    try:
        _refuse_foreign_features(config, architecture)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"config.json cannot be understood: {error}") from None
    spec = spec_from_config({**config, "architectures": [architecture]}, name)
    return spec.model_copy(update={"source": "", "not_priced": ()})


def _stretch_keys(spec: ModelSpec) -> dict[str, Any]:
    if spec.rope_scaling is not None:
        stretch: dict[str, Any] = {
            "rope_type": "llama3",
            "factor": spec.rope_scaling.factor,
            "low_freq_factor": spec.rope_scaling.low_freq_factor,
            "high_freq_factor": spec.rope_scaling.high_freq_factor,
            "original_max_position_embeddings": spec.rope_scaling.original_max_seq_len,
        }
    elif spec.rope_yarn is not None:
        stretch = {
            "rope_type": "yarn",
            "factor": spec.rope_yarn.factor,
            "original_max_position_embeddings": spec.rope_yarn.original_max_seq_len,
            "beta_fast": spec.rope_yarn.beta_fast,
            "beta_slow": spec.rope_yarn.beta_slow,
            "truncate": spec.rope_yarn.round_ramp,
        }
        if spec.rope_yarn.attention_factor is not None:
            stretch["attention_factor"] = spec.rope_yarn.attention_factor
    else:
        # classes with a stretch by default (GPT-OSS) take none only where it is said
        return {"rope_parameters": {"rope_type": "default", "rope_theta": spec.rope_theta}} if spec.attn_sinks else {}
    return {"rope_scaling": stretch}


def _feature_keys(spec: ModelSpec, architecture: str) -> dict[str, Any]:
    """The keys beyond a plain Llama's."""
    optional, keys = OPTIONAL_KEYS[architecture], {}
    if "attention_bias" in optional:
        keys["attention_bias"] = spec.qkv_bias
    if "mlp_bias" in optional:
        keys["mlp_bias"] = spec.mlp_bias
    if "sliding_window" in optional:
        keys |= _window_keys(spec, architecture)
    if spec.moe is not None:
        keys |= {"num_local_experts": spec.moe.n_experts, "num_experts_per_tok": spec.moe.top_k}
    if spec.moe is not None and architecture == QWEN3_MOE:
        keys |= {
            "num_experts": keys.pop("num_local_experts"),
            "moe_intermediate_size": spec.moe.expert_dim,
            "norm_topk_prob": spec.moe.renormalize,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [],
        }
    if architecture == GPT_OSS:
        keys |= {"swiglu_limit": SWIGLU_LIMIT}
    if architecture == GEMMA2:
        keys |= {
            "hidden_activation": "gelu_pytorch_tanh",
            "query_pre_attn_scalar": round(spec.attention_scale**-2),
            "attn_logit_softcapping": spec.attn_softcap,
            "final_logit_softcapping": spec.output_softcap,
        }
    return keys


def _window_keys(spec: ModelSpec, architecture: str) -> dict[str, Any]:
    windows = [spec.window_of(layer) for layer in range(spec.n_layers)]
    largest = max(windows)
    if architecture in (MISTRAL, MIXTRAL):
        return {"sliding_window": largest or None}
    if architecture == QWEN3_MOE:
        return {"use_sliding_window": largest > 0, "sliding_window": largest or None}
    kinds = [SLIDING if window else FULL for window in windows]
    keys: dict[str, Any] = {"layer_types": kinds}
    if architecture in (GEMMA2, GPT_OSS):
        return keys | {"sliding_window": largest or spec.max_seq_len}
    first = kinds.index(SLIDING) if largest else spec.n_layers
    return keys | {"use_sliding_window": largest > 0, "sliding_window": largest or None, "max_window_layers": first}


def _grok_keys(spec: ModelSpec) -> dict[str, Any]:
    """attn_output_multiplier stays away: the servers scale by head_dim^-0.5, and vLLM multiplies the output with it.

    moe_intermediate_size makes vLLM read Grok-1 under the names of Grok-2 too; load_presharded_moe keeps SGLang from
    looking for one file a rank; servers ask for the number of experts under either name.
    """
    assert spec.moe is not None
    optional = {"final_logit_softcapping": spec.output_softcap, "attn_temperature_len": spec.attn_temperature_len}
    return {
        "num_experts": spec.moe.n_experts,
        "moe_intermediate_size": spec.moe.expert_dim,
        "residual_moe": spec.ffn_dim is not None,
        "moe_router_renormalize": False,
        "load_presharded_moe": False,
        "attn_logit_softcapping": spec.attn_softcap or 0.0,
        "router_logit_softcapping": spec.moe.router_softcap or 0.0,
        "embedding_multiplier_scale": spec.embedding_multiplier,
        "output_multiplier_scale": spec.output_multiplier,
    } | {key: value for key, value in optional.items() if value is not None}


def _refuse_foreign_features(config: dict[str, Any], architecture: str) -> None:
    reads = OPTIONAL_KEYS[architecture]
    for key in ("attention_bias", "mlp_bias", "quantization_config", "use_bidirectional_attention"):
        if config.get(key) and key not in reads:
            raise InputError(f"config.json: {key} is set; that is not supported with {architecture}")
    window = config.get("sliding_window")
    if window and "sliding_window" not in reads and window < config.get("max_position_embeddings", window + 1):
        raise InputError(f"config.json: sliding_window = {window} is not supported with {architecture}")
    named = [config.get(key, "silu") for key in ("hidden_act", "hidden_activation")]
    for function in named if architecture != GROK else ():
        if function is not None and function not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise InputError(f"config.json: activation {function!r} is not supported (hidden_act); known: {known}")
    rope = (config.get("rope_scaling") or {}) | (config.get("rope_parameters") or {})
    kind = rope.get("rope_type", rope.get("type", config.get("rope_type", "default")))
    if kind not in STRETCHES:
        raise InputError(f"config.json: rope type {kind!r} is not supported; known: default, llama3, yarn")
    if any(c.get("partial_rotary_factor", 1.0) not in (None, 1.0) for c in (rope, config)):
        raise InputError("config.json: partial_rotary_factor is not supported; whole heads are turned here")
    for key, wanted in (("swiglu_limit", SWIGLU_LIMIT), ("swiglu_alpha", SWIGLU_ALPHA)):
        if architecture == GPT_OSS and config.get(key, wanted) != wanted:
            raise InputError(f"config.json: {key} = {config[key]} is not supported; the network has {wanted}")
