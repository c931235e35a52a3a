"""How each layer mixes tokens: full attention, a window, a chunk, a state, or nothing; one reader a convention."""

from dataclasses import dataclass, field, replace
from typing import Any

from kolossos.errors import InputError
from kolossos.specs.huggingface.classes import Facts
from kolossos.specs.huggingface.keys import Keys
from kolossos.specs.huggingface.shape import LATENT, LENGTH

SLIDING, FULL = "sliding_attention", "full_attention"
FULL_NAMES = {FULL, "attention", "global", "full", "global_attention", "softmax_attention", "self_attention"}
SPARSE_NAMES = {"indexed_attention", "deepseek_sparse_attention", "sparse_attention"}
WINDOW_NAMES = {SLIDING, "sliding", "local", "local_attention", "swa", "sliding_window", "window_attention"}
CHUNK_NAMES = {"chunked_attention", "chunked"}
STATE_NAMES = {"linear_attention", "linear", "mamba", "mamba2", "recurrent", "conv", "ssm", "kda", "gated_delta"}
BESIDE_NAMES = {"hybrid", "attention_mamba", "parallel_hybrid"}
MLP_NAMES = dict.fromkeys(("mlp", "dense", "ffn"), "dense") | dict.fromkeys(("moe", "experts", "sparse"), "experts")
LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
"""Of hybrid_override_pattern (Nemotron-H)."""
WINDOW = ("sliding_window", "sliding_window_size", "attention_window_size", "window_size")


@dataclass(frozen=True)
class Mixing:
    """Of one layer. ``widths``: where its attention differs from the model's."""

    attention: bool = True
    state: bool = False
    window: int = 0
    chunked: bool = False
    widths: tuple[tuple[str, Any], ...] = field(default=())
    mlp: str | None = None
    """Where the same convention says it: dense, experts or none."""


def read_mixing(keys: Keys, facts: Facts, n_layers: int) -> list[Mixing]:
    """Every layer of the model."""
    if blocks := _blocks(keys):
        return [_named(name, keys, facts) for name in blocks]
    if "block_configs" in keys:
        return _chosen_blocks(keys, n_layers)
    names = _names(keys, facts, n_layers)
    layers = [_named(name, keys, facts) for name in names]
    if facts.recurrent == "beside" or ("mamba_d_ssm" in keys and not facts.known):  # Falcon-H1: both in every layer
        layers = [replace(layer, state=True) for layer in layers]
    return [replace(layer, widths=_widths(keys, number, layer)) for number, layer in enumerate(layers)]


def _blocks(keys: Keys) -> list[str]:
    """Layers that are attention, a state or an MLP each, and not two of these (Nemotron-H)."""
    pattern = keys.get("hybrid_override_pattern")
    if isinstance(pattern, str) and pattern:
        if unknown := sorted(set(pattern) - set(LETTERS)):
            raise InputError(f"hybrid_override_pattern: letter {unknown[0]!r} is not known; known: {' '.join(LETTERS)}")
        return [LETTERS[letter] for letter in pattern]
    if "layers_block_type" in keys and "mamba_num_heads" in keys:
        return [str(name) for name in keys.items("layers_block_type")]
    return []


def block_count(keys: Keys) -> int:
    """Layers of a file that lists its blocks; 0 otherwise."""
    blocks = _blocks(keys)
    if blocks:
        keys.get("num_hidden_layers", "mtp_hybrid_override_pattern")
    return len(blocks)


def _named(name: str, keys: Keys, facts: Facts) -> Mixing:
    name = name.removeprefix("hybrid_") if name.startswith("hybrid_") else name
    alone = bool(_blocks(keys))
    if name in MLP_NAMES and alone:
        return Mixing(attention=False, mlp=MLP_NAMES[name])
    mlp = "none" if alone else None
    if name in FULL_NAMES | SPARSE_NAMES:
        return Mixing(mlp=mlp)
    if name in WINDOW_NAMES:
        window = keys.get(*WINDOW)
        if not isinstance(window, int) or isinstance(window, bool) or window < 0:
            raise InputError(f"layer_types names {name}, but there is no sliding_window")
        return Mixing(window=_shorter(window, keys), mlp=mlp)
    if name in CHUNK_NAMES:
        if not keys.some("attention_chunk_size"):
            raise InputError(f"layer_types names {name}, but there is no attention_chunk_size")
        return Mixing(window=_shorter(keys.some("attention_chunk_size"), keys), chunked=True, mlp=mlp)
    if name in STATE_NAMES:
        return Mixing(attention=False, state=True, mlp=mlp)
    if name in BESIDE_NAMES and keys.some("mamba_d_state"):
        return Mixing(state=True, mlp=mlp)
    if name.endswith("attention"):
        keys.note(f"{name} is priced as full attention")
        return Mixing(mlp=mlp)
    known = ", ".join(sorted(FULL_NAMES | WINDOW_NAMES | CHUNK_NAMES | STATE_NAMES))
    raise InputError(f"layer_types: {name!r} is not supported; known: {known}")


def _shorter(window: int, keys: Keys) -> int:
    """0 for a window as long as the context."""
    return 0 if window >= keys.whole(*LENGTH, least=1) else window


def _names(keys: Keys, facts: Facts, n_layers: int) -> list[str]:
    """A name for each layer."""
    layers = range(n_layers)
    if types := keys.items("layer_types", "layers_block_type", length=n_layers):
        keys.get("full_attention_interval", "sliding_window_pattern", "_sliding_window_pattern", "use_sliding_window")
        keys.get("max_window_layers", "layer_group_size", "global_attn_every_n_layers", "full_attn_idxs")
        return [str(name) for name in types]
    table = keys.table("linear_attn_config")
    if full := table.get("full_attn_layers"):  # counted from 1 (Kimi Linear)
        return [FULL if number + 1 in full else "linear_attention" for number in layers]
    if types := keys.items("attn_type_list", length=n_layers):  # MiniMax: 1 is softmax
        return [FULL if kind else "linear_attention" for kind in types]
    if types := keys.items("hybrid_layer_pattern", length=n_layers):  # MiMo-V2: 1 has a window
        return [SLIDING if kind else FULL for kind in types]
    if period := keys.some("attn_layer_period"):
        offset = keys.some("attn_layer_offset")
        return [FULL if number % period == offset else "mamba" for number in layers]
    indices = keys.get("attn_layer_indices", "full_attn_idxs")
    if isinstance(indices, list):
        return [FULL if number in indices else "mamba" for number in layers]
    if interval := keys.some("full_attention_interval", "layer_group_size"):
        return ["linear_attention" if (number + 1) % interval else FULL for number in layers]
    if _is_state_alone(keys, facts):
        return ["mamba"] * n_layers
    if "attention_chunk_size" in keys:
        return _chunked_names(keys, n_layers)
    return _windowed_names(keys, facts, n_layers)


def _is_state_alone(keys: Keys, facts: Facts) -> bool:
    heads = keys.get("num_attention_heads", "n_head", "n_heads")
    return (not heads and keys.get("state_size") is not None) or facts.recurrent == "mamba"


def _chunked_names(keys: Keys, n_layers: int) -> list[str]:
    """Llama 4: layers with rotary positions see chunks, every fourth sees all (no_rope_layers holds a 0 for these)."""
    rotary = keys.items("no_rope_layers", length=n_layers)
    interval = keys.whole("no_rope_layer_interval", default=4, least=1)
    chunked = [bool(entry) for entry in rotary] or [(number + 1) % interval != 0 for number in range(n_layers)]
    return ["chunked_attention" if chunk else FULL for chunk in chunked]


def _windowed_names(keys: Keys, facts: Facts, n_layers: int) -> list[str]:
    layers, window = range(n_layers), keys.get(*WINDOW)
    every = ("sliding_window_pattern", "_sliding_window_pattern", "global_attn_every_n_layers")
    pattern = keys.get(*every, default=facts.window)
    used = keys.get("use_sliding_window")
    if pattern == "upper":
        first = keys.whole("max_window_layers", default=28)
        return [SLIDING if used and number >= first else FULL for number in layers]
    if pattern == "if used":
        keys.get("max_window_layers")
        return [SLIDING if used and window else FULL] * n_layers
    if pattern == "none" or used is False or not window:
        return [FULL] * n_layers
    if isinstance(pattern, int) and not isinstance(pattern, bool) and pattern > 0:
        return [SLIDING if (number + 1) % pattern else FULL for number in layers]
    if isinstance(pattern, str) and set(pattern) <= {"L", "G"} and pattern:
        return [SLIDING if pattern[number % len(pattern)] == "L" else FULL for number in layers]
    if isinstance(pattern, tuple):
        return [SLIDING if pattern[number % len(pattern)] == "sliding" else FULL for number in layers]
    return [SLIDING] * n_layers


def _widths(keys: Keys, number: int, layer: Mixing) -> tuple[tuple[str, Any], ...]:
    """Where the attention of layer ``number`` has other widths than the model's keys say."""
    if not layer.attention:
        return ()
    found: dict[str, Any] = {}
    windowed = {
        "n_heads": ("swa_num_attention_heads",),
        "n_kv_heads": ("swa_num_key_value_heads",),
        "head_dim": ("swa_head_dim",),
        "v_head_dim": ("swa_v_head_dim",),
    }
    everywhere = {"n_kv_heads": ("num_global_key_value_heads",), "head_dim": ("global_head_dim",)}
    for name, sought in (windowed if layer.window else everywhere).items():
        if width := keys.some(*sought):
            found[name] = width
    for sought in (windowed, everywhere):
        keys.get(*(name for names in sought.values() for name in names))
    heads = keys.get("num_attention_heads_per_layer")
    if isinstance(heads, list) and number < len(heads) and isinstance(heads[number], int):
        found["n_heads"] = heads[number]
    own = keys.table("per_layer_config")
    own = own.get(str(number)) or own.get(f"{number:02d}") or {}
    names = {"num_attention_heads": "n_heads", "num_key_value_heads": "n_kv_heads", "head_dim": "head_dim"}
    if isinstance(own, dict) and "kv_lora_rank" in keys:
        latent = {name: own[name] if name in own else keys.get(name) for name in ("q_lora_rank", *LATENT)}
        found |= {"mla": tuple(latent.items())} if any(name in own for name in latent) else {}
        own = {name: value for name, value in own.items() if name not in latent}
    if not isinstance(own, dict) or (unknown := sorted(set(own) - set(names))):
        raise InputError(f"per_layer_config: {unknown[0] if isinstance(own, dict) else own!r} is not known")
    found |= {names[name]: value for name, value in own.items()}
    if keys.flag("attention_k_eq_v") and not layer.window:
        found["values_are_keys"] = True
    indexers = keys.items("indexer_types")
    if keys.some("index_topk") and (layer.window or (number < len(indexers) and indexers[number] == "shared")):
        found["indexer"] = False
    return tuple(sorted(found.items()))


def _chosen_blocks(keys: Keys, n_layers: int) -> list[Mixing]:
    """Nemotron's architecture search: each layer's groups of heads and width of its MLP, or that it has none."""
    heads, dim = keys.whole("num_attention_heads", least=1), keys.whole("hidden_size", least=1)
    layers = []
    for block in keys.items("block_configs", length=n_layers):
        attention, mlp = (block.get(part) or {} if isinstance(block, dict) else {} for part in ("attention", "ffn"))
        if any(part.get("replace_with_linear") for part in (attention, mlp)):
            raise InputError("block_configs: blocks replaced with a linear layer are not supported")
        found: dict[str, Any] = {}
        if group := attention.get("n_heads_in_group"):
            found["n_kv_heads"] = heads // group
        absent = mlp.get("no_op") or not (mlp.get("ffn_mult") or mlp.get("intermediate_size"))
        if not absent:
            width = mlp.get("intermediate_size") or _multiple_of_256(int(2 * mlp["ffn_mult"] * dim / 3))
            found["ffn_dim"] = width
        attends = not attention.get("no_op")
        window = attention.get("window_length") or 0
        widths = found if attends else {k: v for k, v in found.items() if k == "ffn_dim"}
        entries = tuple(sorted(widths.items()))
        layers.append(Mixing(attention=attends, window=window, widths=entries, mlp="none" if absent else "dense"))
    return layers


def _multiple_of_256(width: int) -> int:
    return -(-width // 256) * 256
