"""MLPs: widths of dense ones and experts, and which layers have which."""

from typing import Any

from kolossos.errors import InputError
from kolossos.specs.huggingface.classes import Facts
from kolossos.specs.huggingface.keys import Keys
from kolossos.specs.huggingface.shape import DIM

COUNT = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts")
TOP_K = (
    "num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "moe_top_k", "moe_k",
    "top_k_experts", "num_selected_experts", "moe_router_topk",
)  # fmt: skip
WIDTH = (
    "moe_intermediate_size", "expert_intermediate_size", "moe_ffn_hidden_size", "expert_ffn_hidden_size",
    "ffn_hidden_size_moe", "expert_dim", "intermediate_size",
)  # fmt: skip
DENSE = (
    "dense_intermediate_size", "intermediate_size_mlp", "dense_ffn_hidden_size", "intermediate_size", "ffn_hidden_size",
    "block_ff_dim", "ffn_dim", "n_inner", "d_ff",
)  # fmt: skip
SHARED_WIDTH = (
    "moe_shared_expert_intermediate_size", "shared_expert_intermediate_size", "shared_intermediate_size",
    "share_expert_dim", "shared_expert_dim",
)  # fmt: skip
SHARED = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert")


def dense_width(keys: Keys, n_layers: int) -> list[int]:
    """The width of each layer's dense MLP; 0 where the file has none."""
    given = keys.get(*DENSE)
    if isinstance(given, list):
        widths = keys.items(keys.name_of(*DENSE), length=n_layers)
        if not all(isinstance(width, int) and width > 0 for width in widths):
            raise InputError(f"key {keys.name_of(*DENSE)!r}: expected whole numbers from 1 on")
        return widths
    if given is None:
        ratio = keys.number("expansion_ratio", default=0.0 if "moe_intermediate_size" in keys else 4.0)
        return [int(ratio * keys.whole(*DIM, least=1))] * n_layers
    width = _adjusted(keys, keys.some(*DENSE))
    own = keys.values.get("intermediate_size")
    if not keys.get(*COUNT) and own not in (None, keys.get(*DENSE)):
        keys.note(f"intermediate_size (where {keys.name_of(*DENSE)} was taken)")
    return [width] * n_layers


def _adjusted(keys: Keys, width: int) -> int:
    """LFM2's width, if it is to be adjusted: two thirds, times a factor, up to a multiple."""
    multiple = keys.whole("block_multiple_of", default=256, least=1)
    factor = keys.number("block_ffn_dim_multiplier", default=1.0)
    if not keys.flag("block_auto_adjust_ff_dim"):
        return width
    return -(-int(factor * int(2 * width / 3)) // multiple) * multiple


def read_experts(keys: Keys, facts: Facts) -> dict[str, Any] | None:
    """The values of a MoESpec; None for a dense model."""
    for nested in ("ffn_config",):  # DBRX
        if "moe_num_experts" in (table := keys.table(nested)):
            keys = Keys({**keys.values, "intermediate_size": table.get("ffn_hidden_size"), **table}, keys.defaults)
    number = keys.some(*COUNT)
    if number <= 1 or keys.get("enable_moe_block") is False:
        return None
    width = _one_width(keys)
    values: dict[str, Any] = {
        "n_experts": number,
        "top_k": _first(keys.get(*TOP_K), TOP_K[0]),
        "expert_dim": width,
        "renormalize": keys.flag("norm_topk_prob", "moe_renormalize", "moe_router_renormalize", "renormalize_moe"),
        "shared_dim": _shared(keys, width) or None,
        "router_softcap": keys.number("router_logit_softcapping", "moe_router_logit_softcapping", default=0.0) or None,
        "latent_dim": keys.some("moe_latent_size", "moe_latent_dim", "moe_hidden_size") or None,
        "n_idle": keys.some("zero_expert_num"),
    }
    return values | facts.moe


def _one_width(keys: Keys) -> int:
    given = keys.get(*WIDTH)
    if isinstance(given, list):
        if len(set(map(str, given))) > 1:
            keys.note(f"experts of another width ({keys.name_of(*WIDTH)} = {given})")
        given = given[0] if given else None
        if not isinstance(given, int) or given < 1:
            raise InputError(f"key {keys.name_of(*WIDTH)!r}: expected whole numbers from 1 on")
        return given
    return keys.whole(*WIDTH, least=1)


def _first(given: Any, name: str) -> int:
    value = given[0] if isinstance(given, list) and given else given
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"key {name!r} = {value!r}: expected a whole number from 1 on")
    return value


def _shared(keys: Keys, width: int) -> int:
    """Width of all shared experts together: given, or so many of the routed ones' width."""
    number = keys.get(*SHARED)
    if isinstance(number, list):
        number = number[0] if number else 0
    given = keys.some(*SHARED_WIDTH)
    if given:
        return given if number != 0 else 0
    if number is None:
        return 0
    return _count(number, keys.name_of(*SHARED)) * width


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(f"key {name!r} = {value!r}: expected a whole number")
    return value


def mlp_kinds(keys: Keys, facts: Facts, n_layers: int, has_experts: bool) -> list[str]:
    """dense, experts or both, for each layer; every convention of config.json in turn."""
    if not has_experts:
        return ["dense"] * n_layers
    if keys.flag("residual_moe") or keys.flag("enable_moe_block"):
        return ["both"] * n_layers
    sparse = _sparse(keys, n_layers)
    return ["experts" if layer else "dense" for layer in sparse]


def _sparse(keys: Keys, n_layers: int) -> list[bool]:
    layers = range(n_layers)
    if types := keys.items("mlp_layer_types", length=n_layers):
        keys.get("first_k_dense_replace", "moe_layer_freq", "mlp_only_layers", "decoder_sparse_step")
        return [kind != "dense" for kind in types]
    frequency = keys.get("moe_layer_freq")
    if isinstance(frequency, list):
        keys.get("first_k_dense_replace")
        return [bool(entry) for entry in keys.items("moe_layer_freq", length=n_layers)]
    if "moe_layers_enum" in keys:
        named = {int(part) for part in str(keys.get("moe_layers_enum")).split(",") if part.strip().isdigit()}
        return [layer in named for layer in layers]
    if named := keys.items("moe_layers"):
        keys.get("interleave_moe_layer_step")
        return [layer in named for layer in layers]
    first = keys.some("first_k_dense_replace", "num_dense_layers", "n_dense_layers", "num_first_dense_layers")
    if period := keys.some("expert_layer_period"):
        offset = keys.some("expert_layer_offset")
        return [layer % period == offset for layer in layers]
    if "moe_layer_start_index" in keys or "moe_layer_end_index" in keys:
        start, end = keys.some("moe_layer_start_index"), keys.get("moe_layer_end_index", default=-1)
        last = n_layers - 1 if not isinstance(end, int) or end < 0 else end
        step = keys.whole("moe_layer_interval", default=1, least=1)
        return [start <= layer <= last and (layer + 1) % step == 0 for layer in layers]
    dense = set(map(str, keys.items("mlp_only_layers")))
    step = keys.whole("decoder_sparse_step", "interleave_moe_layer_step", "moe_every_n_layers", default=1, least=1)
    every = keys.whole("moe_layer_freq", default=1, least=1)
    return [
        layer >= first and layer % every == 0 and (layer + 1) % step == 0 and str(layer) not in dense
        for layer in layers
    ]
