"""Layers that carry a state along: linear attention, delta rules, Mamba, convolutions; one reader a convention."""

from typing import Any

from kolossos.errors import InputError
from kolossos.specs.huggingface.classes import Facts
from kolossos.specs.huggingface.keys import Keys

MAMBA_HEADS = ("mamba_n_heads", "mamba_num_heads", "num_heads")
MAMBA_HEAD_DIM = ("mamba_d_head", "mamba_head_dim", "head_dim")
MAMBA_STATE = ("mamba_d_state", "ssm_state_size", "state_size")
MAMBA_GROUPS = ("mamba_n_groups", "n_groups")
MAMBA_CONV = ("mamba_d_conv", "conv_kernel")


def read_state(keys: Keys, facts: Facts, dim: int, heads: int, head_dim: int) -> dict[str, Any]:
    """The values of a RecurrentSpec; InputError where no convention that is known tells them."""
    if facts.recurrent == "lightning":
        chunk = keys.whole("block_size", default=256, least=1)
        return _same("lightning", heads, head_dim) | {"chunk": chunk}
    if "linear_attn_config" in keys or "linear_num_heads" in keys:
        return _kimi_delta(keys)
    if "linear_num_value_heads" in keys:
        return {
            "kind": "gated-delta",
            "n_heads": keys.whole("linear_num_value_heads", least=1),
            "n_key_heads": keys.whole("linear_num_key_heads", least=1),
            "key_dim": keys.whole("linear_key_head_dim", least=1),
            "value_dim": keys.whole("linear_value_head_dim", least=1),
            "conv_kernel": keys.whole("linear_conv_kernel_dim", default=4),
        }
    if "conv_L_cache" in keys:
        width = keys.whole("conv_dim", default=dim, least=1)
        bias = keys.flag("conv_bias")
        values = _same("convolution", width, 1)
        return values | {"conv_kernel": keys.whole("conv_L_cache", least=1), "conv_bias": bias}
    if keys.get(*MAMBA_STATE):
        return _mamba(keys, dim)
    raise InputError("layers without attention, whose state no known key describes")


def _same(kind: str, heads: int, width: int) -> dict[str, Any]:
    return {"kind": kind, "n_heads": heads, "n_key_heads": heads, "key_dim": width, "value_dim": width}


def _kimi_delta(keys: Keys) -> dict[str, Any]:
    """Kimi Linear: gates through a rank of one head's width; Bailing's are whole (safe gate)."""
    table = Keys(keys.table("linear_attn_config") or keys.values)
    width = table.whole("head_dim" if table.values is not keys.values else "linear_head_dim", least=1)
    heads = table.whole("num_heads" if table.values is not keys.values else "linear_num_heads", least=1)
    kernel = table.whole("short_conv_kernel_size", "linear_conv_kernel_dim", default=4)
    keys.read |= table.read
    whole = keys.get("kda_safe_gate") is not None
    keys.get("kda_lower_bound")
    return _same("kimi-delta", heads, width) | {"conv_kernel": kernel, "rank": None if whole else width}


def _mamba(keys: Keys, dim: int) -> dict[str, Any]:
    expand = keys.number("mamba_expand", "expand", default=2.0)
    state, kernel = keys.whole(*MAMBA_STATE, least=1), keys.whole(*MAMBA_CONV, default=4)
    bias = keys.flag("mamba_conv_bias", "use_conv_bias", default=True)
    given = ("mamba_d_ssm", "intermediate_size") if "state_size" in keys else ("mamba_d_ssm",)
    inner = keys.some(*given) or int(expand * dim)
    shared: dict[str, Any] = {"key_dim": state, "conv_kernel": kernel, "conv_bias": bias}
    if heads := keys.some(*MAMBA_HEADS):
        keys.get("mamba_dt_rank", "time_step_rank")
        given = keys.get(*MAMBA_HEAD_DIM)
        width = given if isinstance(given, int) and given > 0 else max(inner // heads, 1)
        return shared | {
            "kind": "mamba-2",
            "n_heads": heads,
            "n_key_heads": keys.whole(*MAMBA_GROUPS, default=1, least=1),
            "value_dim": width,
            "inner_norms": keys.get("mamba_rms_norm") is not False,
            "chunk": keys.whole("mamba_chunk_size", "chunk_size", default=256, least=1),
        }
    rank = keys.get("mamba_dt_rank", "time_step_rank")
    rank = rank if isinstance(rank, int) and rank > 0 else -(-dim // 16)
    norms = "mamba_d_state" in keys  # Jamba's
    return shared | {
        "kind": "mamba-1",
        "n_heads": inner,
        "n_key_heads": 1,
        "value_dim": 1,
        "rank": rank,
        "inner_norms": norms,
    }
