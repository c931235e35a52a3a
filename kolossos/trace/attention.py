"""Attention as one kernel: what a GPU runs (FlashAttention, arXiv:2205.14135; FlexAttention), for a trace.

It keeps its inputs, its output and, in fp32, the logarithm of each query's sum; backward computes the logits again.
Only the pairs of query and key that a causal mask leaves are counted.

Shapes: B batch, S queries, T keys, H query heads, K key-value heads, P head_dim.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kolossos.model.attention.kernel import Reach
from kolossos.specs.counts import positions_seen

FORWARD_PRODUCTS = 2  # logits, and what they weigh
BACKWARD_PRODUCTS = 5  # logits again, and the gradients of both factors of both products

Count = Callable[[str, int], None]


class AttentionKernel:
    """In place of `kernel.attend`, for a layer that sees ``window`` positions (0: all).

    ``count`` is told the FLOPs of each run.
    """

    def __init__(self, window: int, count: Count):
        self._window, self._count = window, count

    def __call__(
        self,
        q_BSHP: Tensor,
        k_BTKP: Tensor,
        v_BTKP: Tensor,
        scale: float,
        softcap: float | None,
        reach: Reach,
        sinks_H: Tensor | None = None,
    ) -> Tensor:
        pairs = pairs_seen(reach.spans or ((0, k_BTKP.shape[1]),), self._window)
        return _Kernel.apply(q_BSHP, k_BTKP, v_BTKP, sinks_H, pairs, self._count)  # type: ignore[return-value]


def pairs_seen(spans: tuple[tuple[int, int], ...], window: int) -> int:
    """How many (query, key) pairs a causal mask leaves to the queries at ``spans``."""
    return sum(_seen(window, end) - _seen(window, start) for start, end in spans)


def _seen(window: int, length: int) -> int:
    """By the first ``length`` positions together."""
    return round(length * positions_seen(window, length)) if length else 0


class _Kernel(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q_BSHP: Tensor, k_BTKP: Tensor, v_BTKP: Tensor, sinks_H: Tensor | None, pairs: int, count: Count
    ) -> Tensor:
        batch, length, heads, width = q_BSHP.shape
        out = torch.empty_like(q_BSHP)
        sums_BSH = q_BSHP.new_empty(batch, length, heads, dtype=torch.float32)
        ctx.save_for_backward(q_BSHP, k_BTKP, v_BTKP, sinks_H, out, sums_BSH)
        ctx.product_flops, ctx.count = 2 * batch * heads * width * pairs, count
        count("attention", FORWARD_PRODUCTS * ctx.product_flops)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, sinks_H, *_ = ctx.saved_tensors
        ctx.count("attention", BACKWARD_PRODUCTS * ctx.product_flops)
        d_sinks = None if sinks_H is None else torch.empty_like(sinks_H)
        return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v), d_sinks, None, None
