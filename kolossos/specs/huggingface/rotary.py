"""Rotary values, and the name of a stretch that is left out. transformers 5 writes both into rope_parameters."""

import math
from typing import Any

from kolossos.specs.huggingface.keys import Keys
from kolossos.specs.huggingface.shape import LENGTH


def read_rotary(keys: Keys) -> tuple[dict[str, Any], str]:
    """Values of a ModelSpec; where layers differ, those of full attention."""
    rope = keys.table("rope_scaling") | keys.table("rope_parameters")
    layered = [rope[name] for name in ("full_attention", "main") if isinstance(rope.get(name), dict)]
    rope = layered[0] if layered else {k: v for k, v in rope.items() if not isinstance(v, dict)}
    theta = rope.get("rope_theta") or keys.get("rope_theta", "rotary_emb_base", "rotary_base", default=10_000.0)
    kind = rope.get("rope_type", rope.get("type", keys.get("rope_type", default="default")))
    values: dict[str, Any] = {"rope_theta": float(theta)}
    if kind == "llama3":
        values["rope_scaling"] = {
            "factor": float(rope["factor"]),
            "low_freq_factor": float(rope["low_freq_factor"]),
            "high_freq_factor": float(rope["high_freq_factor"]),
            "original_max_seq_len": rope["original_max_position_embeddings"],
        }
    elif kind == "yarn":
        values["rope_yarn"] = _yarn(rope, keys)
    elif kind not in ("default", "original", None):  # "original": Grok-2's word for none
        return values, f"rope {kind}"
    return values, ""


def _yarn(rope: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """As transformers reads it (modeling_rope_utils.py); DeepSeek's mscale pair is a factor on cos and sin."""
    factor, growth = float(rope["factor"]), rope.get("attention_factor")
    if growth is None and rope.get("mscale") and rope.get("mscale_all_dim"):
        growth = _mscale(factor, rope["mscale"]) / _mscale(factor, rope["mscale_all_dim"])
    values = {
        "factor": factor,
        "original_max_seq_len": rope.get("original_max_position_embeddings") or keys.whole(*LENGTH, least=1),
        "beta_fast": float(rope.get("beta_fast") or 32.0),
        "beta_slow": float(rope.get("beta_slow") or 1.0),
        "round_ramp": rope.get("truncate", True),
    }
    return values | ({} if growth is None else {"attention_factor": float(growth)})


def _mscale(factor: float, mscale: float) -> float:
    return 0.1 * mscale * math.log(factor) + 1.0 if factor > 1 else 1.0
