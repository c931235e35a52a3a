"""Causal attention within documents on CUDA: FlexAttention, with the cap inside the kernel.

The mask is made outside of the compiled layers, once for all of them, and from the borders of the blocks alone: a mask
of every pair of positions would be S x S, and one made inside a compiled layer reached the kernel damaged (torch 2.11,
H200: "operation not supported on global/shared address space" at the first step on real documents).

Shapes: B batch, S queries and keys, H query heads, K key-value heads, P head_dim; I blocks of queries, J of keys.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

BLOCK = 128
NARROWEST = 16
"""The narrowest heads that the kernels for CUDA take."""


def block_mask(length: int, first_BS: Tensor | None, device: torch.device) -> "BlockMask":
    """Which blocks of keys a block of queries needs, and which of them whole.

    first_BS: where the document of each position begins (never falling along S), or None for one document.
    """
    from torch.nn.attention.flex_attention import BlockMask

    n = -(-length // BLOCK)
    start_I = torch.arange(n, device=device) * BLOCK
    end_I = (start_I + BLOCK - 1).clamp(max=length - 1)
    first = torch.zeros(1, length, device=device) if first_BS is None else first_BS
    before_IJ = start_I[:, None] > start_I
    touched_BIJ = before_IJ & (first[:, start_I, None] <= end_I)  # the first query of a block looks back the furthest
    complete_I = start_I + BLOCK <= length  # a block cut off by the end is never whole, as torch has it
    whole_BIJ = before_IJ & complete_I[:, None] & (first[:, end_I, None] <= start_I)
    partly_BIJ = (touched_BIJ & ~whole_BIJ) | torch.eye(n, dtype=torch.bool, device=device)

    def allowed(b: Tensor, _h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return q >= k if first_BS is None else (q >= k) & (k >= first_BS[b, q])

    return BlockMask.from_kv_blocks(
        *_listed(partly_BIJ), *_listed(whole_BIJ), BLOCK_SIZE=BLOCK, mask_mod=allowed, seq_lengths=(length, length)
    )


def flex(
    q_BSHP: Tensor, k_BTKP: Tensor, v_BTKP: Tensor, scale: float, softcap: float | None, blocks: "BlockMask"
) -> Tensor:
    """Attention of every query to the keys that ``blocks`` allow, [B, S, H, P]."""

    q, k, v = (x.transpose(1, 2) for x in (q_BSHP, k_BTKP, v_BTKP))
    out = _attention()(q, k, v, score_mod=soft_cap(softcap), block_mask=blocks, scale=scale, enable_gqa=True)
    return out.transpose(1, 2)


def soft_cap(cap: float | None) -> Callable[..., Tensor] | None:
    """softcap x tanh(score / softcap) for FlexAttention, by the logistic function.

    One exp in place of tanh's branches: two thirds of the kernel's time forward, half backward
    (benchmarks/gpu/soft_cap.py).
    """
    if cap is None:
        return None

    def capped(score: Tensor, _b: Tensor, _h: Tensor, _q: Tensor, _k: Tensor) -> Tensor:
        return 2 * cap * torch.sigmoid(score * (2 / cap)) - cap

    return capped


def _listed(wanted_BIJ: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks each block of queries wants [B, 1, I], and their numbers, wanted ones first [B, 1, I, J]."""
    order = torch.sort(wanted_BIJ.to(torch.int8), dim=-1, descending=True, stable=True).indices
    return wanted_BIJ.sum(-1).to(torch.int32)[:, None], order.to(torch.int32)[:, None].contiguous()


def _attention() -> Any:
    """FlexAttention, compiled: a layer that is being compiled takes it in, elsewhere it is compiled by itself."""
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention if torch.compiler.is_compiling() else _compiled_alone()


@cache
def _compiled_alone() -> Any:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)
