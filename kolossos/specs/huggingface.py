"""A Hugging Face config.json as a ModelSpec, for planning: the shape of a model, whoever trained it.

What a ModelSpec does not hold (learned positions, ALiBi, ...) is left out and named in the spec's ``source``. Loading
weights is stricter, for there nothing may be left out: `kolossos.model.huggingface`.
"""

import json
import math
from pathlib import Path
from typing import Any

from kolossos.errors import InputError, nearest
from kolossos.specs.huggingface_families import ACTIVATIONS, FAMILIES
from kolossos.specs.model import ModelSpec

CONFIG_FILE = "config.json"
BY_MODEL_TYPE = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen2_moe": "Qwen2MoeForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "nemotron": "NemotronForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "deepseek_v2": "DeepseekV2ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "kimi_k2": "DeepseekV3ForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "llama4": "Llama4ForConditionalGeneration",
    "llama4_text": "Llama4ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neox": "GPTNeoXForCausalLM",
    "opt": "OPTForCausalLM",
    "bloom": "BloomForCausalLM",
    "mpt": "MptForCausalLM",
}


def read_huggingface(path: Path) -> ModelSpec:
    """The ModelSpec of a config.json, or of the folder that holds it; its name is the folder's.

    Raises:
        InputError: no such file, no JSON object, an unknown architecture or layer pattern, a missing or wrong key.
    """
    file = path / CONFIG_FILE if path.is_dir() else path
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise InputError(f"{file}: holds no JSON object")
    name = file.resolve().parent.name if file.name == CONFIG_FILE else file.stem
    return spec_from_config(config, name, str(file))


def spec_from_config(config: dict[str, Any], name: str, where: str = CONFIG_FILE) -> ModelSpec:
    """The ModelSpec that the contents of a config.json describe; errors name ``where``."""
    architecture, config = _text_model(config, where)
    family = FAMILIES[architecture]
    try:
        values = family.values(config)
        rope, stretch = _rope(config, family.rope_theta)
        omitted = [part for part in (family.omits, *_omitted(config, family.reads), stretch) if part]
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except KeyError as error:
        raise InputError(f"{where}: key {error} is missing") from None
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise InputError(f"{where}: cannot be understood as {architecture}: {error}") from None
    source = f"{CONFIG_FILE} of {name} ({architecture})"
    source += f"; not described here: {', '.join(omitted)}" if omitted else ""
    return ModelSpec.parse({"name": name, "source": source} | values | rope, where)


def _text_model(config: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """The architecture, and the config of the language model where it is nested beside those of other parts."""
    text = config.get("text_config")
    candidates = [config, text] if isinstance(text, dict) else [config]
    named = ""
    for candidate in candidates:
        known = [*(candidate.get("architectures") or []), BY_MODEL_TYPE.get(candidate.get("model_type") or "")]
        named = named or next((str(a) for a in [*known, candidate.get("model_type")] if a), "")
        for architecture in known:
            if architecture in FAMILIES:
                return architecture, {**config, **text} if isinstance(text, dict) else config
    if not named:
        raise InputError(f"{where}: names no architecture (keys 'architectures' and 'model_type')")
    hint = nearest(named, FAMILIES).split("; known")[0]
    raise InputError(f"{where}: architecture {named!r} is not supported{hint}; supported: {', '.join(FAMILIES)}")


def _omitted(config: dict[str, Any], reads: frozenset[str]) -> list[str]:
    """What this config switches on beyond the plain architecture, and a ModelSpec does not hold."""
    biases = [key for key in ("attention_bias", "mlp_bias") if key not in reads]
    found = [key for key in (*biases, "quantization_config") if config.get(key)]
    window = config.get("sliding_window")
    if "sliding_window" not in reads and window and config.get("use_sliding_window", True):
        found.append(f"sliding_window = {window}")
    if config.get("num_nextn_predict_layers"):
        found.append(f"num_nextn_predict_layers = {config['num_nextn_predict_layers']}")
    named = config.get("hidden_activation") or config.get("hidden_act") or config.get("activation_function") or "silu"
    return [*found, *([f"activation {named}"] if named not in ACTIVATIONS else [])]


def _rope(config: dict[str, Any], default_theta: float) -> tuple[dict[str, Any], str]:
    """Rotary values, and the name of a stretch that is left out. transformers 5 writes both into rope_parameters."""
    rope = (config.get("rope_scaling") or {}) | (config.get("rope_parameters") or {})
    theta = rope.get("rope_theta", config.get("rope_theta", config.get("rotary_emb_base", default_theta)))
    kind = rope.get("rope_type", rope.get("type", config.get("rope_type", "default")))
    values: dict[str, Any] = {"rope_theta": float(theta)}
    if kind == "llama3":
        values["rope_scaling"] = {
            "factor": float(rope["factor"]),
            "low_freq_factor": float(rope["low_freq_factor"]),
            "high_freq_factor": float(rope["high_freq_factor"]),
            "original_max_seq_len": rope["original_max_position_embeddings"],
        }
    elif kind == "yarn":
        values["rope_yarn"] = _yarn(rope, config)
    elif kind not in ("default", "original"):  # "original": Grok-2's word for none
        return values, f"rope {kind}"
    return values, ""


def _yarn(rope: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """As transformers reads it (modeling_rope_utils.py); DeepSeek's mscale pair is a factor on cos and sin."""
    factor, growth = float(rope["factor"]), rope.get("attention_factor")
    if growth is None and rope.get("mscale") and rope.get("mscale_all_dim"):
        growth = _mscale(factor, rope["mscale"]) / _mscale(factor, rope["mscale_all_dim"])
    values = {
        "factor": factor,
        "original_max_seq_len": rope.get("original_max_position_embeddings") or config["max_position_embeddings"],
        "beta_fast": float(rope.get("beta_fast") or 32.0),
        "beta_slow": float(rope.get("beta_slow") or 1.0),
        "round_ramp": rope.get("truncate", True),
    }
    return values | ({} if growth is None else {"attention_factor": float(growth)})


def _mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0
