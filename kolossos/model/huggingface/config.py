"""config.json of the Hugging Face layouts: which one can hold a ModelSpec, and the way there and back.

Three layouts, chosen by what the model computes:
- Llama: dense, none of Grok's features. Mixtral: experts with renormalized gates, none of Grok's features.
  Both as transformers itself reads and writes them.
- Grok-1 and Grok-2, which transformers does not know. The keys are those that the servers read:
  vllm-project/vllm@048a32c vllm/model_executor/models/grok1.py and
  sgl-project/sglang@031ad4c python/sglang/srt/models/grok.py.

What those servers compute whatever config.json says (as read there): SGLang caps the router's logits at 30; vLLM has no
attention temperature, and by its default the exact GELU in place of the tanh one; both divide (dense + experts) by the
square root of 2. Of these only the last is refused at export when the model differs, for it is no small difference.
"""

import json
import math
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.specs.huggingface import CONFIG_FILE, spec_from_config
from kolossos.specs.huggingface_families import ACTIVATIONS
from kolossos.specs.model import ModelSpec

LLAMA, MIXTRAL, GROK = "LlamaForCausalLM", "MixtralForCausalLM", "Grok1ForCausalLM"
ARCHITECTURES = {LLAMA: LLAMA, MIXTRAL: MIXTRAL, GROK: GROK, "Grok1ModelForCausalLM": GROK}
GROK_BRANCH_SCALE = 2**-0.5  # hard-coded in both servers
PLAIN = {
    "post_norm": False,
    "activation": "silu",
    "attn_softcap": None,
    "attn_temperature_len": None,
    "embedding_multiplier": 1.0,
    "output_multiplier": 1.0,
    "output_softcap": None,
}
LIKE_GROK = {"post_norm": True, "activation": "gelu_tanh", "rope_scaling": None}


def layout_of(spec: ModelSpec) -> str:
    """The architecture that holds ``spec``; InputError naming the features that keep it out of every layout."""
    if spec.moe is None:
        obstacles = {LLAMA: _differences(spec, PLAIN)}
    else:
        obstacles = {MIXTRAL: _obstacles_to_mixtral(spec), GROK: _obstacles_to_grok(spec)}
    for architecture, found in obstacles.items():
        if not found:
            return architecture
    reasons = "; ".join(f"{name} has no {', '.join(found)}" for name, found in obstacles.items())
    raise InputError(f"no Hugging Face layout can hold the model {spec.name!r}: {reasons}")


def config_from_spec(spec: ModelSpec, dtype: str) -> dict[str, Any]:
    """The contents of config.json for weights stored as ``dtype`` ("bfloat16" or "float32")."""
    architecture = layout_of(spec)
    config: dict[str, Any] = {
        "architectures": [architecture],
        "model_type": "llama" if architecture == LLAMA else "mixtral",  # Grok's own is unknown to transformers
        "vocab_size": spec.vocab_size,
        "hidden_size": spec.dim,
        "intermediate_size": spec.ffn_dim or (spec.moe.expert_dim if spec.moe else None),
        "num_hidden_layers": spec.n_layers,
        "num_attention_heads": spec.n_heads,
        "num_key_value_heads": spec.n_kv_heads,
        "head_dim": spec.head_dim,
        "hidden_act": "silu" if spec.activation == "silu" else "gelu_pytorch_tanh",
        "max_position_embeddings": spec.max_seq_len,
        "rms_norm_eps": spec.norm_eps,
        "rope_theta": spec.rope_theta,
        "tie_word_embeddings": spec.tied_embeddings,
        "torch_dtype": dtype,
    }
    if spec.rope_scaling is not None:
        config["rope_scaling"] = {
            "rope_type": "llama3",
            "factor": spec.rope_scaling.factor,
            "low_freq_factor": spec.rope_scaling.low_freq_factor,
            "high_freq_factor": spec.rope_scaling.high_freq_factor,
            "original_max_position_embeddings": spec.rope_scaling.original_max_seq_len,
        }
    if spec.moe is not None:
        config |= {"num_local_experts": spec.moe.n_experts, "num_experts_per_tok": spec.moe.top_k}
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
    """LLAMA, MIXTRAL or GROK; InputError for any other model."""
    named = config.get("architectures") or ["(none)"]
    if named[0] not in ARCHITECTURES:
        raise InputError(f"config.json: architecture {named[0]!r} is unknown here; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[named[0]]


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
    return spec_from_config(config, name).model_copy(update={"source": ""})


def _differences(spec: ModelSpec, wanted: dict[str, Any]) -> list[str]:
    found = [f"{key} = {getattr(spec, key)}" for key, value in wanted.items() if getattr(spec, key) != value]
    if not math.isclose(spec.attention_scale, spec.head_dim**-0.5, rel_tol=1e-6):
        found.append(f"attn_scale = {spec.attn_scale}")
    return found


def _obstacles_to_mixtral(spec: ModelSpec) -> list[str]:
    assert spec.moe is not None
    found = _differences(spec, PLAIN | {"ffn_dim": None})
    if not spec.moe.renormalize:
        found.append("moe.renormalize = False")
    if spec.moe.router_softcap is not None:
        found.append(f"moe.router_softcap = {spec.moe.router_softcap}")
    return found


def _obstacles_to_grok(spec: ModelSpec) -> list[str]:
    assert spec.moe is not None
    found = _differences(spec, LIKE_GROK)
    if spec.moe.renormalize:
        found.append("moe.renormalize = True")
    if spec.ffn_dim and not math.isclose(spec.branch_scale, GROK_BRANCH_SCALE, rel_tol=1e-6):
        found.append(f"branch_scale = {spec.branch_scale}")
    return found


def _grok_keys(spec: ModelSpec) -> dict[str, Any]:
    """attn_output_multiplier stays away: the servers scale by head_dim^-0.5, and vLLM multiplies the output with it.

    moe_intermediate_size makes vLLM read Grok-1 under the names of Grok-2 too; load_presharded_moe keeps SGLang from
    looking for one file a rank.
    """
    assert spec.moe is not None
    optional = {"final_logit_softcapping": spec.output_softcap, "attn_temperature_len": spec.attn_temperature_len}
    return {
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
    for key in ("attention_bias", "mlp_bias", "quantization_config"):
        if config.get(key):
            raise InputError(f"config.json: {key} is set; only plain weights without biases are supported")
    window = config.get("sliding_window")
    if window is not None and 0 < window < config.get("max_position_embeddings", math.inf):
        raise InputError(f"config.json: sliding_window = {window} is not supported; attention here sees all positions")
    function = config.get("hidden_act", "silu")
    if architecture != GROK and function not in ACTIVATIONS:
        raise InputError(f"config.json: hidden_act = {function!r} is not supported; known: {', '.join(ACTIVATIONS)}")
    rope = (config.get("rope_scaling") or {}) | (config.get("rope_parameters") or {})
    kind = rope.get("rope_type", rope.get("type", config.get("rope_type", "default")))
    if kind not in ("default", "original", "llama3"):  # "original" is Grok-2's word for no scaling
        raise InputError(f"config.json: rope type {kind!r} is not supported; known: default, llama3")
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise InputError("config.json: partial_rotary_factor is not supported; whole heads are turned here")
