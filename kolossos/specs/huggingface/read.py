"""All of a config.json: its class found, every convention asked, what is left named."""

from dataclasses import replace
from typing import Any

from kolossos.errors import InputError
from kolossos.specs.huggingface.classes import Facts, find_class
from kolossos.specs.huggingface.encoder import encoders
from kolossos.specs.huggingface.experts import dense_width, mlp_kinds, read_experts
from kolossos.specs.huggingface.keys import Keys
from kolossos.specs.huggingface.leftovers import STRUCTURE, left_out, unread
from kolossos.specs.huggingface.mixing import Mixing, block_count, read_mixing
from kolossos.specs.huggingface.pattern import OneLayer, placed
from kolossos.specs.huggingface.rotary import read_rotary
from kolossos.specs.huggingface.shape import LAYERS, read_shape
from kolossos.specs.huggingface.states import read_state
from kolossos.specs.model import MOST_LAYERS, ModelSpec

CONFIG_FILE = "config.json"
TEXT = ("text_config", "llm_config", "language_config")
MTP = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", "num_mtp_layers", "mtp_num_layers")
PER_LAYER_INPUT = "hidden_size_per_layer_input"


def spec_from_config(config: dict[str, Any], name: str, where: str = CONFIG_FILE) -> ModelSpec:
    """The ModelSpec that the contents of a config.json describe; errors name ``where``."""
    try:
        named, facts = _class_of(config)
        values, omitted = _values(named, facts, config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except KeyError as error:
        raise InputError(f"{where}: key {error} is missing") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{where}: cannot be understood: {str(error)[:200]}") from None
    source = f"{CONFIG_FILE} of {name} ({named})"
    source += f"; not described here: {', '.join(omitted)}" if omitted else ""
    return ModelSpec.parse({"name": name, "source": source, "not_priced": tuple(omitted)} | values, where)


def _class_of(config: dict[str, Any]) -> tuple[str, Facts]:
    """The class that the file names, the one of a language model that it holds, or none that is known."""
    text = next((config[key] for key in TEXT if isinstance(config.get(key), dict)), {})
    names: list[str] = []
    for table in (config, text):
        given = table.get("architectures") or []
        names += [str(entry) for entry in (given if isinstance(given, list) else [given])][:4]
    names += [str(table["model_type"]) for table in (text, config) if table.get("model_type")]
    if not names:
        raise InputError("names no architecture (keys 'architectures' and 'model_type')")
    found = next((facts for facts in map(find_class, names) if facts is not None), None)
    return names[0], found or Facts()


def _values(named: str, facts: Facts, config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Values of a ModelSpec, and what they leave out."""
    text = next((config[key] for key in TEXT if isinstance(config.get(key), dict)), None)
    defaults = facts.defaults | (facts.elided if text is not None else {})
    merged = {**config, **(text or {})}
    if "tie_word_embeddings" in config:
        merged["tie_word_embeddings"] = config["tie_word_embeddings"]
    keys = Keys(merged, defaults)
    keys.get(*TEXT)
    if facts.refused:
        raise InputError(_refusal(named, facts.refused, keys))
    values, rope_left = _described(keys, facts)
    size, said = encoders(config, values["dim"])
    values["encoder_parameters"] = size
    values["mtp_layers"] = 0 if keys.get("use_mtp") is False else keys.some(*MTP)
    keys.get(
        "mtp_transformer_layers", "mtp_layers_block_type", "mtp_use_dedicated_embeddings", "mtp_hidden_states_first"
    )
    omitted = [*left_out(keys, facts), *keys.notes, *([rope_left] if rope_left else []), *said]
    if heads := values["mtp_layers"]:
        further = (
            "1 layer that predicts further tokens" if heads == 1 else f"{heads} layers that predict further tokens"
        )
        omitted.append(f"{further} (counted apart, not in time and memory)")
    rest = unread(keys)
    shaping = [key for key in rest if STRUCTURE.search(key)]
    if shaping and not facts.known:
        raise InputError(_refusal(named, f"the class is unknown, and so are its keys {', '.join(shaping[:6])}", keys))
    if not facts.known:
        omitted.append(f"what {named} may compute beyond its keys (biases, norms of queries and keys)")
    if rest:
        omitted.append(f"key{'s' * (len(rest) > 1)} {', '.join(rest)}")
    return values, omitted


def _refusal(named: str, why: str, keys: Keys) -> str:
    """One line: what, why, and what can be written instead."""
    experts = keys.get("num_experts", "num_local_experts", "n_routed_experts")
    near = "llama-3.1-8b" if not experts else "deepseek-v3-671b" if "kv_lora_rank" in keys else "qwen3-30b-a3b"
    return (
        f"architecture {named!r} is not supported: {why}; what comes nearest can be written as TOML and planned: "
        f"`kolossos models {near}` prints one to start from"
    )


def _described(keys: Keys, facts: Facts) -> tuple[dict[str, Any], str]:
    n_layers = block_count(keys) or keys.whole(*LAYERS, least=1)
    if n_layers > MOST_LAYERS:
        raise InputError(f"{n_layers:,} layers: expected at most {MOST_LAYERS:,}")
    values = read_shape(keys, facts, n_layers)
    if width := keys.some(PER_LAYER_INPUT):
        values |= {"layer_input_dim": width, "layer_input_vocab": keys.some("vocab_size_per_layer_input") or None}
    moe = read_experts(keys, facts)
    mixing = read_mixing(keys, facts, n_layers)
    widths = dense_width(keys, n_layers)
    if sharing := keys.some("num_kv_shared_layers"):
        mixing, widths = _sharing(keys, mixing, widths, min(sharing, n_layers))
    layers = _layers(keys, facts, mixing, widths, moe is not None)
    if facts.shortcut:  # LongCat: experts beside the first of two layers of attention and MLP
        layers = [
            (one, mlp, width) for (one, _, _), width in zip(layers, widths, strict=True) for mlp in ("both", "dense")
        ]
        values["n_layers"] = len(layers)
    state = _state(keys, facts, values, mixing)
    ffn_dim = _dense_width_of(layers, moe is not None)
    places = placed(layers, state, ffn_dim, has_experts=moe is not None)
    every = places.pop("every", 1)
    if moe is not None:
        values["moe"] = moe | ({"every": every} if every > 1 else {})
    if ffn_dim:
        values["ffn_dim"] = ffn_dim
    if keys.flag("residual_moe"):
        values["branch_scale"] = 2**-0.5
    rope, left = read_rotary(keys)
    return values | places | rope, left


def _sharing(keys: Keys, mixing: list[Mixing], widths: list[int], number: int) -> tuple[list[Mixing], list[int]]:
    """The last ``number`` layers use keys and values of earlier ones; their MLPs may be twice as wide (Gemma 4)."""
    first = len(mixing) - number
    shared = [replace(layer, widths=(*layer.widths, ("shares_kv", True))) for layer in mixing[first:]]
    double = 2 if keys.flag("use_double_wide_mlp") else 1
    return [*mixing[:first], *shared], [*widths[:first], *(double * width for width in widths[first:])]


def _state(keys: Keys, facts: Facts, values: dict[str, Any], mixing: list[Mixing]) -> dict[str, Any] | None:
    if not any(layer.state for layer in mixing):
        return None
    return read_state(keys, facts, values["dim"], values["n_heads"], values["head_dim"])


def _layers(keys: Keys, facts: Facts, mixing: list[Mixing], widths: list[int], experts: bool) -> list[OneLayer]:
    """Mixing and MLP of each layer together, with the width of a dense MLP."""
    kinds = mlp_kinds(keys, facts, len(mixing), experts)
    if _without_mlp(keys):
        kinds = ["none"] * len(mixing)
    layers: list[OneLayer] = []
    for layer, placed_mlp, width in zip(mixing, kinds, widths, strict=True):
        mlp = layer.mlp or placed_mlp
        if mlp == "experts" and not experts:
            raise InputError("layers with experts, but no key says how many experts there are")
        own = dict(layer.widths)
        width = own.pop("ffn_dim", width)
        bare = replace(layer, widths=tuple(sorted(own.items())), mlp=None)
        layers.append((bare, mlp, width if mlp in ("dense", "both") else 0))
    return layers


def _without_mlp(keys: Keys) -> bool:
    """Models of states alone (Mamba-2) have no MLP at all."""
    return "state_size" in keys and "num_attention_heads" not in keys


def _dense_width_of(layers: list[OneLayer], experts: bool) -> int | None:
    """The width of most dense MLPs; None without any."""
    widths = [width for _, mlp, width in layers if mlp in ("dense", "both")]
    return max(set(widths), key=lambda width: (widths.count(width), width)) if widths else None
