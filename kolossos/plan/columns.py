"""Specs as columns: every field an array (or a scalar), so that one formula prices one layout or a million.

A column of shape (n,) stands beside scalars of shape (); NumPy broadcasts them. Counts are float64, which holds
integers exactly up to 2^53.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.choices import NAMES, code
from kolossos.specs.layers import Layer
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

Column = NDArray[np.float64]


def scalar(value: Column | float) -> float:
    """The one number in ``value``; ValueError if there are several."""
    return float(np.asarray(value).item())


@dataclass(frozen=True)
class Columns:
    """Base: equal-length (or scalar) columns that can be picked by row."""

    def each(self, function: Callable[[Column], Column]) -> Self:
        """The same with every column put through ``function``; kinds of layer, too."""

        def changed(value: Any) -> Any:
            return tuple(one.each(function) for one in value) if isinstance(value, tuple) else function(value)

        return type(self)(**{f.name: changed(getattr(self, f.name)) for f in fields(self)})

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The chosen rows; scalar columns stay scalar."""
        return self.each(lambda column: column if column.ndim == 0 else column[rows])

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """One row for each of ``parts``, which hold scalars."""
        return cls(**{f.name: _stacked([getattr(p, f.name) for p in parts]) for f in fields(cls)})


def _stacked(values: Sequence[Any]) -> Any:
    if isinstance(values[0], tuple):
        return tuple(type(kinds[0]).stack(kinds) for kinds in zip(*values, strict=True))
    return np.stack([np.asarray(value) for value in values])


@dataclass(frozen=True)
class ModelColumns(Columns):
    """Widths in elements, counts, and flags (0 or 1) of the models. Absent parts are zero.

    A model whose layers differ in more than having experts has ``kinds``, columns of a model of each kind alone with
    its ``share`` of the layers; its own columns hold what is one for all (layers, widths of the residual stream).
    """

    n_layers: Column
    n_moe_layers: Column
    dense_beside_experts: Column
    dim: Column
    n_heads: Column
    n_kv_heads: Column
    head_dim: Column
    v_head_dim: Column
    mla: Column
    q_rank: Column
    kv_rank: Column
    rope_dim: Column
    ffn_dim: Column
    up_matrices: Column
    n_experts: Column
    top_k: Column
    expert_dim: Column
    shared_dim: Column
    vocab: Column
    untied: Column
    norms: Column
    share: Column
    attention: Column
    """Whether there is attention."""
    attention_extra: Column
    """Columns of matrices of attention beside queries, keys and values: gates, the indexer."""
    no_values: Column
    """Whether keys serve as values, too."""
    window: Column
    chunked: Column
    parallel: Column
    """Whether attention and MLP read the same input."""
    streams: Column
    """Of the residual."""
    expert_in: Column
    """Width that routed experts read."""
    latent: Column
    """The same where it is not the residual stream's."""
    layer_in: Column
    """Width of an embedding that each layer has of its own."""
    layer_table: Column
    """Elements of that embedding."""
    state_heads: Column
    state_key_heads: Column
    state_key: Column
    state_value: Column
    state_in: Column
    """Columns of the matrices that read the residual stream."""
    state_inner: Column
    """Elements of the matrices between inner widths."""
    state_conv: Column
    state_chunk: Column
    state_delta: Column
    """Whether a step corrects what the state already says (the delta rule)."""
    state_scan: Column
    """Whether the state is worked through element by element (Mamba's first kind)."""
    kinds: tuple["ModelColumns", ...] = ()

    def by_kind(self) -> tuple["ModelColumns", ...]:
        """The kinds of layer; the model itself where there is one."""
        return self.kinds or (self,)

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """One row for each model; kinds that a model lacks have no share of it."""
        most = max(len(part.by_kind()) for part in parts)
        if most == 1:
            return super().stack(parts)
        none = np.float64(0)
        padded = []
        for part in parts:
            kinds = part.by_kind()
            absent = replace(kinds[0], share=none, kinds=())  # pyright: ignore[reportArgumentType]
            padded.append(
                replace(part, kinds=(*(replace(k, kinds=()) for k in kinds), *[absent] * (most - len(kinds))))
            )
        return super().stack(padded)

    @classmethod
    def of(cls, spec: ModelSpec) -> Self:
        """The scalars of one spec."""
        kinds = _alike(spec)
        made = [cls._of_kind(spec, layers) for layers in kinds]
        if len(made) == 1:
            return made[0]
        routed = max(made, key=lambda kind: float(kind.n_experts))
        own = replace(routed, share=np.float64(1), kinds=tuple(made))  # pyright: ignore[reportArgumentType]
        return replace(own, n_moe_layers=np.float64(spec.n_moe_layers))  # pyright: ignore[reportArgumentType]

    @classmethod
    def _of_kind(cls, spec: ModelSpec, layers: dict[Layer, int]) -> Self:
        """Of layers that differ in having experts or not, at most."""
        moe, number = spec.moe, sum(layers.values())
        first = next(iter(layers))
        sparse = sum(n for layer, n in layers.items() if layer.experts)
        dense = max((layer.ffn_dim for layer in layers), default=0)
        beside = spec.dense_beside_experts or any(layer.experts and layer.ffn_dim for layer in layers)
        experts, latent, own = moe if sparse else None, first.mla, spec.layer_input_dim or 0
        values: dict[str, float] = {
            "n_layers": spec.n_layers,
            "n_moe_layers": spec.n_layers * sparse / number,
            "dense_beside_experts": beside,
            "dim": spec.dim,
            "n_heads": first.n_heads,
            "n_kv_heads": 0 if first.shares_kv else first.n_kv_heads,
            "head_dim": first.head_dim,
            "v_head_dim": first.v_head_dim,
            "mla": latent is not None,
            "q_rank": (latent.q_lora_rank or 0) if latent else 0,
            "kv_rank": latent.kv_lora_rank if latent else 0,
            "rope_dim": latent.qk_rope_head_dim if latent else 0,
            "ffn_dim": dense,
            "up_matrices": 2 if spec.gated_mlp else 1,
            "n_experts": experts.n_experts if experts else 0,
            "top_k": experts.top_k if experts else 0,
            "expert_dim": experts.expert_dim if experts else 0,
            "shared_dim": (experts.shared_dim or 0) if experts else 0,
            "vocab": spec.vocab_size,
            "untied": not spec.tied_embeddings,
            "norms": 4 if spec.post_norm else 2,
            "share": number / spec.n_layers,
            "attention": first.n_heads > 0,
            "attention_extra": _extra(spec, first),
            "no_values": first.values_are_keys,
            "window": first.window,
            "chunked": spec.attn_chunked,
            "parallel": spec.parallel_block,
            "streams": spec.residual_streams,
            "expert_in": (experts.latent_dim if experts else None) or spec.dim,
            "layer_in": own,
            "layer_table": own * (spec.layer_input_vocab or spec.vocab_size),
            "latent": (experts.latent_dim or 0) if experts else 0,
        }
        columns = values | _state(first)
        return cls(**{name: np.float64(value) for name, value in columns.items()})  # pyright: ignore[reportArgumentType]


def _alike(spec: ModelSpec) -> list[dict[Layer, int]]:
    """The layers of ``spec``, those together that differ in having experts at most."""
    groups: dict[tuple[Any, ...], dict[Layer, int]] = {}
    widths = {layer.ffn_dim for layer in spec.layers() if layer.ffn_dim and not layer.experts}
    for layer, number in spec.layers().items():
        usual = (layer.experts and not layer.ffn_dim) or (not layer.experts and len(widths) <= 1 and layer.ffn_dim > 0)
        mlp = "either" if usual else (layer.experts, layer.ffn_dim)
        bare = replace(layer, kind="", ffn_dim=0, experts=False)
        groups.setdefault((bare, mlp), {})[layer] = number
    return list(groups.values())


def _extra(spec: ModelSpec, layer: Layer) -> float:
    """Columns of what reads the stream for gates and, as if it read it, the indexer."""
    if not layer.n_heads:
        return 0
    gate = layer.n_heads * {None: 0, "element": layer.v_head_dim, "head": 1}[spec.attn_gate]
    if spec.indexer is None or not layer.indexer:
        return gate
    rank, index = (layer.mla.q_lora_rank if layer.mla else None) or spec.dim, spec.indexer
    return gate + rank * index.n_heads * index.head_dim / spec.dim + index.head_dim + index.n_heads


def _state(layer: Layer) -> dict[str, float]:
    state = layer.recurrent
    names = ("heads", "key_heads", "key", "value", "in", "inner", "conv", "chunk", "delta", "scan")
    if state is None:
        return {f"state_{name}": 0 for name in names}
    still = state.kind == "convolution"
    return {
        "state_heads": state.n_heads,
        "state_key_heads": state.n_key_heads,
        "state_key": 0 if still else state.key_dim,
        "state_value": state.value_dim,
        "state_in": state.in_width,
        "state_inner": state.inner_weights,
        "state_conv": state.conv_width,
        "state_chunk": state.chunk,
        "state_delta": state.kind in ("gated-delta", "kimi-delta"),
        "state_scan": state.kind == "mamba-1",
    }


@dataclass(frozen=True)
class LayoutColumns(Columns):
    """Layouts; ``recompute``, ``precision``, ``schedule`` and ``sharding`` hold the codes of ``plan.choices``."""

    tp: Column
    pp: Column
    vp: Column
    cp: Column
    ep: Column
    etp: Column
    dp_shard: Column
    dp_replicate: Column
    micro_batch_size: Column
    global_batch_size: Column
    seq_len: Column
    recompute: Column
    precision: Column
    schedule: Column
    sharding: Column

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """The scalars of one layout."""
        values = layout.model_dump()
        values |= {axis: code(axis, values[axis]) for axis in NAMES}
        return cls(**{f.name: np.float64(values[f.name]) for f in fields(cls)})  # pyright: ignore[reportArgumentType]

    def layout(self, row: int) -> Layout:
        """Row ``row`` as a Layout."""
        values: dict[str, object] = {}
        for f in fields(self):
            column = getattr(self, f.name)
            number = int(column if column.ndim == 0 else column[row])
            values[f.name] = NAMES[f.name][number] if f.name in NAMES else number
        return Layout.model_validate(values)

    @property
    def dp(self) -> Column:
        """Ranks that see different sequences."""
        return self.dp_shard * self.dp_replicate

    @property
    def world(self) -> Column:
        """Number of GPUs."""
        return self.tp * self.pp * self.cp * self.dp

    @property
    def micro_batches(self) -> Column:
        """Micro-batches that one pipeline works through in a step."""
        return self.global_batch_size / (self.micro_batch_size * self.dp)
