"""Specs as columns: every field an array (or a scalar), so that one formula prices one layout or a million.

A column of shape (n,) stands beside scalars of shape (); NumPy broadcasts them. Counts are float64, which holds
integers exactly up to 2^53.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.choices import NAMES, code
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

Column = NDArray[np.float64]


def scalar(value: Column | float) -> float:
    """The one number in ``value``; ValueError if there are several."""
    return float(np.asarray(value).item())


@dataclass(frozen=True)
class Columns:
    """Base: equal-length (or scalar) columns that can be picked by row."""

    def take(self, rows: NDArray[np.intp]) -> Self:
        """The chosen rows; scalar columns stay scalar."""
        picked = {f.name: c if (c := getattr(self, f.name)).ndim == 0 else c[rows] for f in fields(self)}
        return type(self)(**picked)

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """One row for each of ``parts``, which hold scalars."""
        return cls(**{f.name: np.stack([np.asarray(getattr(p, f.name)) for p in parts]) for f in fields(cls)})


@dataclass(frozen=True)
class ModelColumns(Columns):
    """Widths in elements, counts, and flags (0 or 1) of the models. Absent parts are zero."""

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

    @classmethod
    def of(cls, spec: ModelSpec) -> Self:
        """The scalars of one spec."""
        moe, mla = spec.moe, spec.mla
        values = {
            "n_layers": spec.n_layers,
            "n_moe_layers": spec.n_moe_layers,
            "dense_beside_experts": spec.dense_beside_experts,
            "dim": spec.dim,
            "n_heads": spec.n_heads,
            "n_kv_heads": spec.n_kv_heads,
            "head_dim": spec.head_dim,
            "v_head_dim": mla.v_head_dim if mla else spec.head_dim,
            "mla": mla is not None,
            "q_rank": (mla.q_lora_rank or 0) if mla else 0,
            "kv_rank": mla.kv_lora_rank if mla else 0,
            "rope_dim": mla.qk_rope_head_dim if mla else 0,
            "ffn_dim": spec.ffn_dim or 0,
            "up_matrices": 2 if spec.gated_mlp else 1,
            "n_experts": moe.n_experts if moe else 0,
            "top_k": moe.top_k if moe else 0,
            "expert_dim": moe.expert_dim if moe else 0,
            "shared_dim": (moe.shared_dim or 0) if moe else 0,
            "vocab": spec.vocab_size,
            "untied": not spec.tied_embeddings,
            "norms": 4 if spec.post_norm else 2,
        }
        return cls(**{name: np.float64(value) for name, value in values.items()})  # pyright: ignore[reportArgumentType]


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
