"""Model specs from a table of published architectures: a JSON file with the key ``models``, name -> architecture.

An architecture has hidden, layers, heads, kv_heads, head_dim, ffn_hidden, vocab, gated_mlp, attention_type (mha, gqa or
mla), tied_embeddings, seq_len_default, source and notes; with experts also experts, top_k, moe_ffn_hidden,
shared_expert_ffn_hidden (of all shared experts together), first_dense_layers and extra.moe_layer_pattern; with latent
attention the four widths and two ranks of DeepSeek's config. All in elements; null means: not known.
What is null but needed comes from catalogue/assumptions.toml, by family, or the model is left out with the reason.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.specs.catalogue import CATALOGUE
from kolossos.specs.model import ModelSpec
from kolossos.specs.strict import read_toml

SHAPE = ("hidden", "layers", "heads", "kv_heads", "gated_mlp", "vocab")
LATENT = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
EXPERTS = ("top_k", "moe_ffn_hidden")
RULE_KEYS = ("models", "why", "spec", "last_resort", "ffn_per_hidden", "instead_of")


@dataclass(frozen=True)
class ImportedModel:
    """A spec and what was assumed for it, one line each; or, without a spec, the reason why there is none."""

    spec: ModelSpec | None
    assumed: tuple[str, ...] = ()
    notes: str = ""
    reason: str = ""


def model_specs(path: Path | str) -> dict[str, ModelSpec]:
    """The specs of all models in the file whose architecture is complete; `read_models` also gives the reasons."""
    return {name: model.spec for name, model in read_models(path).items() if model.spec is not None}


def read_models(path: Path | str, longest: Mapping[str, int] | None = None) -> dict[str, ImportedModel]:
    """Every model of the file, as a spec or with the reason why not.

    Args:
        path: the JSON file.
        longest: longest sequence (tokens) seen of a model, where its training length is not published.

    Raises:
        InputError: the file cannot be read or has no such table.
    """
    try:
        table = json.loads(Path(path).read_text(encoding="utf-8"))["models"]
        items = list(table.items())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f'{path}: not a JSON object with a table "models" of architectures') from None
    return {name: _import(name, entry, (longest or {}).get(name), str(path)) for name, entry in items}


def _import(name: str, entry: Any, longest: int | None, where: str) -> ImportedModel:
    if not isinstance(entry, dict):
        return ImportedModel(None, reason="not an object")
    entry = dict(entry)
    extra = entry.get("extra") or {}
    if any("hybrid" in key or "mamba" in key for key in extra):
        return ImportedModel(None, reason="a hybrid with state-space layers, not a decoder of attention alone")
    assumed, overlay = _fill(name, entry, longest)
    notes = entry.get("notes") or ""
    missing = _missing(entry)
    if missing:
        return ImportedModel(None, notes=notes, reason=f"not known: {', '.join(missing)}")
    try:
        values = _values(entry, overlay)
        spec = ModelSpec.parse({"name": name, **values}, f"{where}: {name}")
    except (InputError, TypeError) as error:
        return ImportedModel(None, notes=notes, reason=str(error))
    return ImportedModel(spec, tuple(assumed), notes)


def _fill(name: str, entry: dict[str, Any], longest: int | None) -> tuple[list[str], dict[str, Any]]:
    """Put what the rules know into the nulls of ``entry``; what was put, and the values for the spec itself."""
    assumed: list[str] = []
    overlay: dict[str, Any] = {}

    def put(values: dict[str, Any], why: str, instead_of: dict[str, list[Any]] | None = None) -> None:
        wrong = instead_of or {}
        filled = {k: v for k, v in values.items() if entry.get(k) is None or entry[k] in wrong.get(k, [])}
        entry.update(filled)
        if filled:
            assumed.append(f"{', '.join(f'{k} = {json.dumps(v)}' for k, v in filled.items())}: {why}")

    for rule in _rules():
        if not any(fnmatch(name, pattern) for pattern in rule["models"]):
            continue
        if rule.get("last_resort") and longest:
            put({"seq_len_default": longest}, "the longest sequence measured")
        if entry.get("hidden") is None and "hidden" in rule:
            entry |= {"source": rule["why"], "notes": None}
        put({k: v for k, v in rule.items() if k not in RULE_KEYS}, rule["why"], rule.get("instead_of"))
        if "ffn_per_hidden" in rule and entry.get("hidden"):
            put({"ffn_hidden": rule["ffn_per_hidden"] * entry["hidden"]}, rule["why"])
        overlay |= rule.get("spec", {})
    if entry.get("attention_type") == "mha" and entry.get("heads"):
        put({"kv_heads": entry["heads"]}, "multi-head attention")
    if entry.get("attention_type") != "mla" and entry.get("hidden") and entry.get("heads"):
        put({"head_dim": entry["hidden"] // entry["heads"]}, "hidden / heads")
    return assumed, overlay


@cache
def _rules() -> list[dict[str, Any]]:
    return read_toml(CATALOGUE / "assumptions.toml")["rule"]


def _missing(entry: dict[str, Any]) -> list[str]:
    latent = entry.get("attention_type") == "mla"
    wanted = [*SHAPE, *(LATENT if latent else ("head_dim",)), *(EXPERTS if entry.get("experts") else ("ffn_hidden",))]
    return [key for key in wanted if entry.get(key) is None]


def _values(entry: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "source": entry.get("source") or "",
        "n_layers": entry["layers"],
        "dim": entry["hidden"],
        "n_heads": entry["heads"],
        "n_kv_heads": entry["kv_heads"],
        "vocab_size": entry["vocab"],
        "max_seq_len": entry["seq_len_default"],
        "gated_mlp": entry["gated_mlp"],
        "activation": "silu" if entry["gated_mlp"] else "gelu_tanh",
        "tied_embeddings": entry["tied_embeddings"],
    }
    if entry.get("attention_type") == "mla":
        values["mla"] = {key: entry.get(key) for key in ("q_lora_rank", *LATENT)}
        values["n_kv_heads"] = entry["heads"]
        values["head_dim"] = entry["qk_nope_head_dim"] + entry["qk_rope_head_dim"]
    else:
        values["head_dim"] = entry["head_dim"]
    if entry.get("experts"):
        every = _every(entry)
        values["moe"] = {
            "n_experts": entry["experts"],
            "top_k": entry["top_k"],
            "expert_dim": entry["moe_ffn_hidden"],
            "shared_dim": entry.get("shared_expert_ffn_hidden") or None,
            "every": every,
        } | overlay.get("moe", {})
        values["first_dense_layers"] = entry.get("first_dense_layers") or 0
        if every > 1 or values["first_dense_layers"]:  # elsewhere ffn_hidden is a width that no layer has
            values["ffn_dim"] = entry.get("ffn_hidden")
    else:
        values["ffn_dim"] = entry["ffn_hidden"]
    return values | {k: v for k, v in overlay.items() if k != "moe"}


def _every(entry: dict[str, Any]) -> int:
    """One layer in so many has experts, from a pattern such as ``[0,1]*24`` (0 dense, 1 experts)."""
    pattern = (entry.get("extra") or {}).get("moe_layer_pattern")
    if pattern is None:
        return 1
    found = re.match(r"\[([01](?:,[01])*)\]\*(\d+)", pattern.replace(" ", ""))
    period = found[1].split(",") if found else []
    if not found or period.count("1") != 1 or period[-1] != "1":
        raise InputError(f"the pattern of layers {pattern!r} is not 'every n-th layer has experts'")
    return len(period)
