"""What each Hugging Face architecture calls its shape: config.json -> the values of a ModelSpec.

The keys and their defaults are those of transformers' configuration classes (huggingface/transformers,
src/transformers/models/*/configuration_*.py); Grok's are those of the servers that read it (vllm-project/vllm@048a32c
vllm/model_executor/models/grok1.py). A KeyError means that config.json lacks the key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kolossos.errors import InputError

Config = dict[str, Any]
SLIDING, FULL = "sliding_attention", "full_attention"
ACTIVATIONS = {"silu": "silu", "swish": "silu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}


@dataclass(frozen=True)
class Family:
    """How to read one architecture, and what of it a ModelSpec does not hold."""

    values: Callable[[Config], dict[str, Any]]
    omits: str = ""
    rope_theta: float = 10_000.0
    reads: frozenset[str] = frozenset()
    """Of the keys attention_bias, mlp_bias and sliding_window those that ``values`` takes in."""


def _shape(c: Config, *, tied: bool = False) -> dict[str, Any]:
    """The keys that most decoders share; ``tied`` is the class's default for tie_word_embeddings."""
    return {
        "n_layers": c["num_hidden_layers"],
        "dim": c["hidden_size"],
        "n_heads": c["num_attention_heads"],
        "n_kv_heads": c.get("num_key_value_heads") or c["num_attention_heads"],
        "head_dim": c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"],
        "vocab_size": c["vocab_size"],
        "max_seq_len": c["max_position_embeddings"],
        "norm_eps": float(c.get("norm_eps") or c["rms_norm_eps"]),
        "tied_embeddings": c.get("tie_word_embeddings", tied),
        "activation": activation(c),
    }


def activation(c: Config) -> str:
    """silu or gelu_tanh; other functions count as gelu_tanh, and `huggingface` says so."""
    named = c.get("hidden_activation") or c.get("hidden_act") or c.get("activation_function") or "silu"
    return ACTIVATIONS.get(named, "gelu_tanh")


def _dense(c: Config) -> dict[str, Any]:
    return _shape(c) | {"ffn_dim": c["intermediate_size"]}


def _biases(c: Config, default: bool = False) -> dict[str, Any]:
    """attention_bias: of queries, keys, values and the output alike."""
    biased = bool(c.get("attention_bias", default))
    return {"qkv_bias": biased, "attn_output_bias": biased}


def _windows(c: Config, kinds: list[str], window: int | None) -> dict[str, Any]:
    """The windows of layers of these kinds, as the shortest pattern; one as long as the context is none.

    ``kinds`` stands where config.json has no layer_types.
    """
    kinds = c.get("layer_types") or kinds
    if unknown := sorted(set(kinds) - {SLIDING, FULL}):
        raise InputError(f"layer_types: {unknown[0]!r} is not supported; known: {SLIDING}, {FULL}")
    if SLIDING in kinds and not window:
        raise InputError(f"layer_types names {SLIDING}, but there is no sliding_window")
    held = 0 if window is None or window >= c["max_position_embeddings"] else window
    windows = [held if kind == SLIDING else 0 for kind in kinds]
    if not any(windows):
        return {}
    period = next(n for n in range(1, len(windows) + 1) if all(w == windows[i % n] for i, w in enumerate(windows)))
    return {"attn_windows": tuple(windows[:period])}


def _everywhere(c: Config, default: int | None = None) -> dict[str, Any]:
    """One window for all layers, where there is one."""
    window = c.get("sliding_window", default)
    return _windows(c, [SLIDING if window else FULL] * c["num_hidden_layers"], window)


def _llama(c: Config) -> dict[str, Any]:
    return _dense(c) | _biases(c) | {"mlp_bias": bool(c.get("mlp_bias", False))}


def _mistral(c: Config) -> dict[str, Any]:
    return _dense(c) | _everywhere(c, 4096)


def _phi3(c: Config) -> dict[str, Any]:
    return _dense(c) | _everywhere(c)


def _upper_windows(c: Config) -> dict[str, Any]:
    """Qwen's: layers from max_window_layers on, if use_sliding_window."""
    used = c.get("use_sliding_window", False)
    first, layers = c.get("max_window_layers", 28), c["num_hidden_layers"]
    kinds = [SLIDING if used and layer >= first else FULL for layer in range(layers)]
    return _windows(c, kinds, c.get("sliding_window", 4096) if used else None)


def _qwen2(c: Config) -> dict[str, Any]:
    return _dense(c) | {"qkv_bias": True} | _upper_windows(c)


def _qwen3(c: Config) -> dict[str, Any]:
    return _dense(c | {"head_dim": c.get("head_dim", 128)}) | _biases(c) | {"qk_norm": "head"} | _upper_windows(c)


def _qwen3_moe(c: Config) -> dict[str, Any]:
    used = {"sliding_window": c.get("sliding_window") if c.get("use_sliding_window") else None}
    return _qwen_moe(c) | _biases(c) | {"qk_norm": "head"} | _everywhere(c | used)


def _olmo2(c: Config) -> dict[str, Any]:
    """arXiv:2501.00656, section 2: norms behind the blocks, and of all queries and keys of a position together."""
    return _dense(c) | _biases(c) | {"pre_norm": False, "post_norm": True, "qk_norm": "whole"}


def _nemotron(c: Config) -> dict[str, Any]:
    return _dense(c) | {"gated_mlp": False}


def _gemma2(c: Config) -> dict[str, Any]:
    """arXiv:2408.00118, section 2."""
    c = {"head_dim": 256, "hidden_activation": "gelu_pytorch_tanh"} | c
    layers = range(c["num_hidden_layers"])
    return {
        **_shape(c, tied=True),
        **_biases(c),
        "ffn_dim": c["intermediate_size"],
        "post_norm": True,
        "attn_scale": c.get("query_pre_attn_scalar", 256) ** -0.5,
        "attn_softcap": c.get("attn_logit_softcapping", 50.0),
        "output_softcap": c.get("final_logit_softcapping", 30.0),
        "embedding_multiplier": c["hidden_size"] ** 0.5,
        **_windows(c, [FULL if n % 2 else SLIDING for n in layers], c.get("sliding_window", 4096)),
    }


def _mixtral(c: Config) -> dict[str, Any]:
    moe = _experts(c, c["num_local_experts"], c["intermediate_size"], renormalize=True)
    return _shape(c) | {"moe": moe} | _everywhere(c)


def _gpt_oss(c: Config) -> dict[str, Any]:
    """openai/gpt-oss, gpt_oss/torch/model.py. Softmax of the chosen logits is that of all of them, renormalized."""
    c = {"head_dim": 64} | c | {"num_experts_per_tok": c.get("num_experts_per_tok") or c["experts_per_token"]}
    moe = _experts(c, c["num_local_experts"], c["intermediate_size"], renormalize=True)
    kinds = [FULL if n % 2 else SLIDING for n in range(c["num_hidden_layers"])]
    return {
        **_shape(c),
        **_biases(c, default=True),
        "moe": moe | {"bias": True},
        "activation": "clamped_swiglu",
        "attn_sinks": True,
        **_windows(c, kinds, c.get("sliding_window", 128)),
    }


def _experts(c: Config, n_experts: int, expert_dim: int, *, renormalize: bool) -> dict[str, Any]:
    return {
        "n_experts": n_experts,
        "top_k": c["num_experts_per_tok"],
        "expert_dim": expert_dim,
        "renormalize": renormalize,
    }


def _qwen_moe(c: Config) -> dict[str, Any]:
    dense, every = c.get("mlp_only_layers") or [], c.get("decoder_sparse_step", 1)
    if dense != list(range(len(dense))):
        raise InputError(f"mlp_only_layers = {dense}: only the first layers may be dense")
    if dense and every > 1:
        raise InputError("mlp_only_layers together with decoder_sparse_step > 1 is not supported")
    n_experts = c["num_experts"] if "num_experts" in c else c["num_local_experts"]  # transformers 5 writes the latter
    moe = _experts(c, n_experts, c["moe_intermediate_size"], renormalize=c.get("norm_topk_prob", False)) | {
        "shared_dim": c.get("shared_expert_intermediate_size") or None,
        "every": every,
    }
    values = _shape(c) | {"moe": moe, "first_dense_layers": len(dense)}
    return values | ({"ffn_dim": c["intermediate_size"]} if dense or every > 1 else {})


def _deepseek(c: Config) -> dict[str, Any]:
    """DeepSeek-V2 and V3 (arXiv:2405.04434, 2412.19437), and what took their architecture (Kimi K2, Moonlight)."""
    latent = ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
    mla = {"q_lora_rank": c.get("q_lora_rank")} | {key: c[key] for key in latent}
    values = _shape(c) | {"mla": mla, "n_kv_heads": c["num_attention_heads"]}
    values["head_dim"] = c["qk_nope_head_dim"] + c["qk_rope_head_dim"]
    if c.get("n_routed_experts") is None:
        return values | {"ffn_dim": c["intermediate_size"]}
    if c.get("moe_layer_freq", 1) != 1:
        raise InputError(f"moe_layer_freq = {c['moe_layer_freq']} is not supported")
    width, first = c["moe_intermediate_size"], c.get("first_k_dense_replace", 0)
    moe = _experts(c, c["n_routed_experts"], width, renormalize=c.get("norm_topk_prob", False))
    moe["shared_dim"] = (c.get("n_shared_experts") or 0) * width or None
    return values | {"moe": moe, "first_dense_layers": first} | ({"ffn_dim": c["intermediate_size"]} if first else {})


def _llama4(c: Config) -> dict[str, Any]:
    every, layers = c.get("interleave_moe_layer_step", 1), c["num_hidden_layers"]
    moe_layers = c.get("moe_layers")
    if moe_layers is not None and moe_layers != list(range(every - 1, layers, every)):
        raise InputError(f"moe_layers = {moe_layers}: only every n-th layer may have experts")
    width = c["intermediate_size"]
    moe = _experts(c, c["num_local_experts"], width, renormalize=False) | {"shared_dim": width, "every": every}
    return _shape(c) | {"moe": moe} | ({"ffn_dim": c["intermediate_size_mlp"]} if every > 1 else {})


def _grok(c: Config) -> dict[str, Any]:
    """Grok-1 and Grok-2; the keys without a default in the servers, and hpcai-tech/grok-1's max_attn_value."""
    dense = c.get("residual_moe", False)
    n_experts = c["num_local_experts"] if "num_local_experts" in c else c["num_experts"]
    width = c.get("moe_intermediate_size") or c["intermediate_size"]
    moe = _experts(c, n_experts, width, renormalize=c.get("moe_router_renormalize", False))
    temperature_len = c.get("attn_temperature_len") or -1
    return _shape(c) | {
        "moe": moe | {"router_softcap": c.get("router_logit_softcapping") or None},
        "ffn_dim": c["intermediate_size"] if dense else None,
        "branch_scale": 2**-0.5 if dense else 1.0,
        "activation": "gelu_tanh",
        "post_norm": True,
        "attn_scale": c.get("attn_output_multiplier"),
        "attn_softcap": c.get("attn_logit_softcapping", c.get("max_attn_value", 30.0)) or None,
        "attn_temperature_len": temperature_len if temperature_len > 0 else None,
        "embedding_multiplier": c["embedding_multiplier_scale"],
        "output_multiplier": c["output_multiplier_scale"],
        "output_softcap": c.get("final_logit_softcapping") or None,
    }


def _gpt(c: Config, *, layers: str, dim: str, heads: str, length: int, ffn: int, tied: bool) -> dict[str, Any]:
    """Decoders before Llama: multi-head attention and an MLP of two matrices."""
    return {
        "n_layers": c[layers],
        "dim": c[dim],
        "n_heads": c[heads],
        "n_kv_heads": c[heads],
        "head_dim": c[dim] // c[heads],
        "vocab_size": c["vocab_size"],
        "max_seq_len": length,
        "ffn_dim": ffn,
        "gated_mlp": False,
        "activation": "gelu_tanh",
        "norm_eps": float(c.get("layer_norm_epsilon") or c.get("layer_norm_eps") or 1e-5),
        "tied_embeddings": c.get("tie_word_embeddings", tied),
    }


def _gpt2(c: Config) -> dict[str, Any]:
    ffn = c.get("n_inner") or 4 * c["n_embd"]
    return _gpt(c, layers="n_layer", dim="n_embd", heads="n_head", length=c["n_positions"], ffn=ffn, tied=True)


def _plain(c: Config, ffn: str, *, tied: bool) -> dict[str, Any]:
    names = {"layers": "num_hidden_layers", "dim": "hidden_size", "heads": "num_attention_heads"}
    return _gpt(c, **names, length=c["max_position_embeddings"], ffn=c[ffn], tied=tied)


def _gpt_neox(c: Config) -> dict[str, Any]:
    return _plain(c, "intermediate_size", tied=False)


def _opt(c: Config) -> dict[str, Any]:
    if c.get("word_embed_proj_dim", c["hidden_size"]) != c["hidden_size"]:
        raise InputError("word_embed_proj_dim differs from hidden_size: projected embeddings are not supported")
    return _plain(c, "ffn_dim", tied=True)


def _bloom(c: Config) -> dict[str, Any]:
    dim = "hidden_size" if "hidden_size" in c else "n_embed"
    heads = "n_head" if "n_head" in c else "num_attention_heads"
    length = c.get("seq_length", 2048)
    return _gpt(c, layers="n_layer", dim=dim, heads=heads, length=length, ffn=4 * c[dim], tied=True)


def _mpt(c: Config) -> dict[str, Any]:
    ffn = int(c.get("expansion_ratio", 4) * c["d_model"])
    values = _gpt(c, layers="n_layers", dim="d_model", heads="n_heads", length=c["max_seq_len"], ffn=ffn, tied=True)
    return values | {"n_kv_heads": (c.get("attn_config") or {}).get("kv_n_heads") or c["n_heads"]}


BIASES = "biases of the linear layers"
DEEPSEEK = Family(_deepseek)
BIAS, WINDOW = "attention_bias", "sliding_window"
FAMILIES = {
    "LlamaForCausalLM": Family(_llama, reads=frozenset({BIAS, "mlp_bias"})),
    "MistralForCausalLM": Family(_mistral, reads=frozenset({WINDOW})),
    "MixtralForCausalLM": Family(_mixtral, rope_theta=1e6, reads=frozenset({WINDOW})),
    "Phi3ForCausalLM": Family(_phi3, reads=frozenset({WINDOW})),
    "Qwen2ForCausalLM": Family(_qwen2, reads=frozenset({WINDOW})),
    "Qwen2MoeForCausalLM": Family(_qwen_moe, "biases of queries, keys and values, gate of the shared expert"),
    "Qwen3ForCausalLM": Family(_qwen3, reads=frozenset({BIAS, WINDOW})),
    "Qwen3MoeForCausalLM": Family(_qwen3_moe, reads=frozenset({BIAS, WINDOW})),
    "Olmo2ForCausalLM": Family(_olmo2, reads=frozenset({BIAS})),
    "NemotronForCausalLM": Family(_nemotron, "norm biases"),
    "Gemma2ForCausalLM": Family(_gemma2, reads=frozenset({BIAS, WINDOW})),
    "DeepseekV2ForCausalLM": DEEPSEEK,
    "DeepseekV3ForCausalLM": DEEPSEEK,
    "KimiK2ForCausalLM": DEEPSEEK,
    "GptOssForCausalLM": Family(_gpt_oss, rope_theta=150_000.0, reads=frozenset({BIAS, WINDOW})),
    "Llama4ForCausalLM": Family(_llama4, "chunked attention", rope_theta=500_000.0),
    "Llama4ForConditionalGeneration": Family(_llama4, "chunked attention, the image encoder", rope_theta=500_000.0),
    "Grok1ForCausalLM": Family(_grok),
    "Grok1ModelForCausalLM": Family(_grok),
    "GPT2LMHeadModel": Family(_gpt2, f"{BIASES}, learned positions"),
    "GPTNeoXForCausalLM": Family(_gpt_neox, f"{BIASES}, attention and MLP side by side"),
    "OPTForCausalLM": Family(_opt, f"{BIASES}, learned positions"),
    "BloomForCausalLM": Family(_bloom, f"{BIASES}, ALiBi, norm of the embedding"),
    "MptForCausalLM": Family(_mpt, "ALiBi"),
    "MPTForCausalLM": Family(_mpt, "ALiBi"),
}
