"""The widths of a decoder and what its blocks are made of: keys of config.json -> values of a ModelSpec."""

from typing import Any

from kolossos.errors import InputError
from kolossos.specs.huggingface.classes import Facts
from kolossos.specs.huggingface.keys import Keys

ACTIVATIONS = {"silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}
UNGATED = ("relu2", "relu", "xielu", "gelu_new", "gelu", "gelu_fast")
"""Functions that, in a class that is not known, stand between two matrices and not three."""
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
DIM = ("hidden_size", "n_embd", "d_model", "n_embed")
HEADS = ("num_attention_heads", "n_head", "n_heads")
LENGTH = (
    "max_position_embeddings", "n_positions", "max_seq_len", "model_max_length", "max_sequence_length", "seq_length",
)  # fmt: skip
KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "num_query_groups", "multi_query_group_num")
NORM_EPS = ("norm_eps", "rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "layernorm_epsilon", "norm_epsilon")
LATENT = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")


def function_of(keys: Keys) -> str:
    """The name of the activation."""
    named = keys.get("mlp_hidden_act", "hidden_activation", "hidden_act", "activation_function", "activation")
    return str(named or "silu")


def read_shape(keys: Keys, facts: Facts, n_layers: int) -> dict[str, Any]:
    """Everything but layers, experts and rotary embeddings."""
    dim = keys.whole(*DIM, least=1)
    heads = keys.whole(*HEADS, least=1) if keys.get(*HEADS) is not None else 0
    function = function_of(keys)
    values: dict[str, Any] = {
        "n_layers": n_layers,
        "dim": dim,
        "vocab_size": keys.whole("vocab_size", "padded_vocab_size", least=1),
        "max_seq_len": keys.whole(*LENGTH, least=1),
        "norm_eps": keys.number(*NORM_EPS, default=1e-5) or 1e-5,
        "tied_embeddings": keys.flag("tie_word_embeddings"),
        "activation": ACTIVATIONS.get(function, "gelu_tanh"),
        "gated_mlp": facts.known or function not in UNGATED,
        "rope_share": _rope_share(keys),
        "residual_streams": keys.whole("hc_mult", default=1, least=1),
    }
    values |= _attention(keys, facts, dim, heads) | _norms(keys, facts) | _biases(keys, facts)
    return values | _multipliers(keys, facts, dim) | _positions(keys, facts) | _fixed(facts)


def _fixed(facts: Facts) -> dict[str, Any]:
    return dict(facts.spec)


def _attention(keys: Keys, facts: Facts, dim: int, heads: int) -> dict[str, Any]:
    if not heads:  # of layers with a state alone there may be no attention at all
        return {"n_heads": 1, "n_kv_heads": 1, "head_dim": max(dim // 2 * 2, 2)}
    if any(name in keys for name in LATENT[:2]):
        latent = {name: keys.whole(name, least=name != "qk_rope_head_dim") for name in LATENT}
        mla = {"q_lora_rank": keys.some("q_lora_rank") or None} | latent
        keys.get("head_dim", "qk_head_dim", *KV_HEADS)
        head_dim = latent["qk_nope_head_dim"] + latent["qk_rope_head_dim"]
        return {"mla": mla, "n_heads": heads, "n_kv_heads": heads, "head_dim": head_dim} | _indexer(keys)
    kv_heads = _kv_heads(keys, heads)
    widths = ("head_dim", "attention_head_dim", "kv_channels", "d_kv")
    head_dim = keys.some(*widths) or dim // heads
    values: dict[str, Any] = {"n_heads": heads, "n_kv_heads": kv_heads, "head_dim": head_dim}
    v_head_dim = keys.some("v_head_dim", "value_head_dim")
    return values | ({"v_head_dim": v_head_dim} if v_head_dim not in (0, head_dim) else {}) | _indexer(keys)


def _kv_heads(keys: Keys, heads: int) -> int:
    """Falcon's and MPT's own words, too: one for all, or groups only in the new architecture."""
    grouped = keys.get("kv_n_heads") or keys.table("attn_config").get("kv_n_heads")
    if isinstance(grouped, int) and grouped > 0:
        return grouped
    if "new_decoder_architecture" in keys or "multi_query" in keys or "multi_query" in keys.defaults:
        if not keys.flag("new_decoder_architecture"):
            return 1 if keys.flag("multi_query") else heads
    elif "multi_query_attention" in keys and not keys.flag("multi_query_attention"):
        return heads
    return keys.some(*KV_HEADS) or heads


def _indexer(keys: Keys) -> dict[str, Any]:
    if not keys.some("index_topk"):
        return {}
    keys.note(f"sparse attention (index_topk = {keys.get('index_topk')}) is priced as full attention")
    widths = {"n_heads": keys.whole("index_n_heads", least=1), "head_dim": keys.whole("index_head_dim", least=1)}
    return {"indexer": widths | {"top_k": keys.whole("index_topk", least=1)}}


def _norms(keys: Keys, facts: Facts) -> dict[str, Any]:
    values: dict[str, Any] = {}
    wanted = keys.get("use_qk_norm", "qk_layernorm", "use_qk_layernorm", "qk_norm", "use_qk_layer_norm")
    if isinstance(wanted, bool) and not facts.spec.get("qk_norm") and wanted and _learns_qk_norm(facts):
        values["qk_norm"] = "whole" if keys.get("qk_norm_type") == "per_layer" else "head"
    keys.get("qk_norm_type")
    if keys.flag("use_post_norm", "use_sandwich_norm"):
        values["post_norm"] = True
    if "parallel_attn" in keys or "parallel_attn" in keys.defaults:
        both = keys.flag("new_decoder_architecture")
        side_by_side = keys.flag("parallel_attn") or both
        two = both and keys.some("num_ln_in_parallel_attn") != 1
        values |= {"parallel_block": side_by_side, "shared_norm": side_by_side and not two}
    if "use_parallel_residual" in keys:
        values["parallel_block"] = keys.flag("use_parallel_residual")
    return values


def _learns_qk_norm(facts: Facts) -> bool:
    """Llama 4's norms of queries and keys have no weights."""
    return facts.name != "llama4"


def _biases(keys: Keys, facts: Facts) -> dict[str, Any]:
    """attention_bias is of queries, keys, values and, in most classes, the output; use_bias is of everything."""
    heeds = {name: name not in facts.ignores for name in ("attention_bias", "mlp_bias")}
    everything = keys.flag("use_bias", "bias", "add_bias_linear") and "mamba_num_heads" not in keys
    attention = (keys.flag("attention_bias") and heeds["attention_bias"]) or everything
    inputs = attention or keys.flag("use_qkv_bias", "qkv_bias", "add_qkv_bias")
    return {
        "qkv_bias": inputs,
        "attn_output_bias": attention and (facts.output_bias or everything),
        "mlp_bias": (keys.flag("mlp_bias") and heeds["mlp_bias"]) or everything,
        "attn_sinks": keys.flag("attention_sink", "use_attention_sink", "add_full_attention_sink_bias"),
        "attn_gate": _gate(keys),
        "output_bias": keys.flag("lm_head_bias"),
    }


def _gate(keys: Keys) -> str | None:
    """A gate on the output of attention: of each element, or, where the key says so, of each head."""
    keys.get("output_gate_type")
    if keys.flag("use_head_wise_attn_gate", "use_attention_gate", "gating"):
        return "head"
    return "element" if keys.flag("attn_output_gate", "attention_output_gate", "use_attn_gate") else None


def _multipliers(keys: Keys, facts: Facts, dim: int) -> dict[str, Any]:
    """Factors and caps, none of which has a price."""
    scalar, given = keys.number("query_pre_attn_scalar", default=0.0), keys.get("attn_output_multiplier")
    length = keys.get("attn_temperature_len", default=-1)
    grok, gemma = facts.name.startswith("grok1"), facts.name == "gemma2"
    cap = keys.number("attn_logit_softcapping", "max_attn_value", default=30.0 if grok else 0.0)
    embedding = keys.number("embedding_multiplier_scale", default=dim**0.5 if gemma else 1.0)
    return {
        "attn_scale": scalar**-0.5 if scalar > 0 else given,
        "attn_softcap": cap or None,
        "attn_temperature_len": length if isinstance(length, int) and length > 0 else None,
        "embedding_multiplier": embedding,
        "output_multiplier": keys.number("output_multiplier_scale", default=1.0),
        "output_softcap": keys.number("final_logit_softcapping", "logits_soft_cap", default=0.0) or None,
    }


def _positions(keys: Keys, facts: Facts) -> dict[str, Any]:
    """Learned positions, in the classes that have them."""
    if "word_embed_proj_dim" in keys and keys.get("word_embed_proj_dim") != keys.get(*DIM):
        raise InputError("word_embed_proj_dim differs from hidden_size: projected embeddings are not supported")
    if not facts.defaults.get("learned_positions"):
        return {}
    return {"learned_positions": keys.whole(*LENGTH, least=1) + int(facts.defaults.get("position_offset", 0))}


def _rope_share(keys: Keys) -> float:
    """Of a head's width that is rotated; where layers differ, of the first that says so."""
    tables = [keys.table("rope_parameters"), keys.table("rope_scaling")]
    tables += [table for outer in list(tables) for table in outer.values() if isinstance(table, dict)]
    shares = [table.get("partial_rotary_factor") for table in tables]
    shares.append(keys.get("partial_rotary_factor", "rotary_pct", "rope_pct"))
    keys.get("rotary_dim")
    return next((float(share) for share in shares if isinstance(share, (int, float)) and 0 < share <= 1), 1.0)
