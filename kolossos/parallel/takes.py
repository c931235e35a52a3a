"""Which layouts the axes here can put on which models: said by name, before torch is loaded."""

from collections.abc import Iterator

from kolossos.errors import InputError
from kolossos.parallel.coordinates import layers_of_stages
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec


def require_takes(layout: Layout, model: ModelSpec) -> None:
    """InputError naming the first key of ``layout`` that ``model`` cannot be cut by."""
    if reason := next(_reasons(layout, model), None):
        raise InputError(f"layout.{reason}")


def require_takes_survival(layout: Layout) -> None:
    """InputError naming the key of ``layout`` for which replicas cannot come and go."""
    key = "survival.replicas"
    if layout.dp_replicate < 2:
        raise InputError(f"{key}: layout.dp_replicate = {layout.dp_replicate}: there must be 2 for one to leave")
    if layout.pp > 1:
        raise InputError(f"{key} does not go with layout.pp = {layout.pp} yet; set it to 1")
    if layout.sharding == "optimizer":
        raise InputError(f"{key} does not go with layout.sharding = 'optimizer' yet; use 'gradients' or 'parameters'")


def _reasons(layout: Layout, model: ModelSpec) -> Iterator[str]:
    yield from _about_tensors(layout, model)
    yield from _about_positions(layout, model)
    yield from _about_experts(layout, model)
    yield from _about_stages(layout, model)
    if layout.sharding == "none" and layout.dp_shard > 1:
        yield (
            f"sharding = 'none' repeats every weight, but dp_shard = {layout.dp_shard} shards them; "
            "set dp_replicate in place of dp_shard"
        )
    pieces = layout.tp * layout.cp * (2 if layout.cp > 1 else 1)
    if layout.seq_len % pieces:
        yield (
            f"seq_len = {layout.seq_len} is not a multiple of {pieces}: tp = {layout.tp} and cp = {layout.cp} cut "
            "sequences into that many pieces"
        )


def _about_tensors(layout: Layout, model: ModelSpec) -> Iterator[str]:
    widths = {"n_heads": model.n_heads, "n_kv_heads": model.n_kv_heads, "ffn_dim": model.ffn_dim or 0}
    for name, size in widths.items():
        if size % layout.tp:
            yield f"tp = {layout.tp} does not divide the model's {name} = {size}"
    moe_bias = model.moe is not None and model.moe.bias
    uncut = {
        "qkv_bias": model.qkv_bias,
        "attn_output_bias": model.attn_output_bias,
        "mlp_bias": model.mlp_bias,
        "moe.bias": moe_bias,
        "attn_sinks": model.attn_sinks,
        "qk_norm = 'whole'": model.qk_norm == "whole",
    }
    for name, there in uncut.items():
        if layout.tp > 1 and there:
            yield f"tp = {layout.tp} does not cut a model with {name} yet; set it to 1"
    for axis in ("ep", "etp"):
        if getattr(layout, axis) > 1 and moe_bias:
            yield f"{axis} = {getattr(layout, axis)} does not cut experts with biases (moe.bias) yet; set it to 1"


def _about_positions(layout: Layout, model: ModelSpec) -> Iterator[str]:
    for name, there in {"attn_windows": any(model.attn_windows), "attn_sinks": model.attn_sinks}.items():
        if layout.cp > 1 and there:
            yield f"cp = {layout.cp} does not cut the sequences of a model with {name} yet; set it to 1"


def _about_experts(layout: Layout, model: ModelSpec) -> Iterator[str]:
    for axis in ("ep", "etp"):
        degree = getattr(layout, axis)
        if degree > 1 and model.moe is None:
            yield f"{axis} = {degree} is for experts, and {model.name} has none; set it to 1"
    if model.moe is None:
        return
    if model.moe.n_experts % layout.ep:
        yield f"ep = {layout.ep} does not divide the model's {model.moe.n_experts} experts"
    if layout.etp not in (1, layout.tp):
        yield f"etp = {layout.etp} is neither 1 nor tp = {layout.tp}; experts are cut as all else or not at all"
    if model.moe.expert_dim % layout.etp:
        yield f"etp = {layout.etp} does not divide the model's moe.expert_dim = {model.moe.expert_dim}"
    ranks = layout.dp_shard * layout.cp * layout.tp
    if ranks % (layout.ep * layout.etp):
        yield (
            f"ep = {layout.ep} times etp = {layout.etp} does not divide the {ranks} ranks of dp_shard x cp x tp, "
            "which it re-uses"
        )


def _about_stages(layout: Layout, model: ModelSpec) -> Iterator[str]:
    if layout.vp > 1 and layout.pp == 1:
        yield f"vp = {layout.vp} chunks the stages of a pipeline, and there is none; set it to 1"
    if layout.schedule != "1f1b" and layout.pp == 1:
        yield f"schedule = {layout.schedule!r} is a pipeline's, and there is none; use '1f1b'"
    if layout.schedule == "zero-bubble":
        yield "schedule = 'zero-bubble' is not available for training yet; use '1f1b'"
    if layout.pp == 1:
        return
    sizes = [len(layers) for layers in layers_of_stages(model.n_layers, layout.pp * layout.vp)]
    if 0 in sizes[1:-1]:  # the first and the last have embedding and output
        yield f"pp = {layout.pp} (times vp = {layout.vp}) leaves a stage without one of the {model.n_layers} layers"
    if layout.vp > 1 and layout.accumulation_steps % layout.pp:
        yield f"vp = {layout.vp} asks for micro-batches a step in multiples of pp = {layout.pp}"
    if layout.accumulation_steps < layout.pp:
        yield (
            f"pp = {layout.pp} stages need as many micro-batches a step and there are {layout.accumulation_steps}: "
            "raise global_batch_size or lower micro_batch_size"
        )
