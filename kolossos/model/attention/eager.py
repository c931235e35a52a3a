"""Causal attention for training without torch.compile: the sums of `ChunkedAttention` in few passes over the logits.

An operation of its own on every element of [B, heads, S, T] is what attention costs where nothing fuses them. Here
scale and mask ride along in the product (baddbmm), and softmax and its gradient are torch's fused kernels.

Shapes as in `kernel`: N = B x K matrices of R = S x G query rows, T keys.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

MASKED = -1e30  # finite, as in Grok-1's own code

Chunks = list[tuple[int, int]]


class EagerAttention(torch.autograd.Function):
    """q [N, R, P], k and v [N, T, P] -> [N, R, P]; queries in ``chunks`` of positions, each meets keys up to its end.

    mask_of: from a chunk to what is added to its logits, [1 or N, rows, keys]. No logits are kept for backward.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        scale: float,
        softcap: float | None,
        chunks: Chunks,
        mask_of: Callable[[int, int], Tensor],
    ) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.scale, ctx.softcap, ctx.chunks, ctx.mask_of = scale, softcap, chunks, mask_of
        group = q.shape[1] // k.shape[1]
        out = torch.empty_like(q)
        for start, end in chunks:
            rows = slice(start * group, end * group)
            logits, _ = _logits(q[:, rows], k[:, :end], scale, softcap, mask_of(start, end))
            out[:, rows] = torch.bmm(logits.softmax(-1).to(v.dtype), v[:, :end])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        d_out, group = grads[0].contiguous(), q.shape[1] // k.shape[1]
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for start, end in ctx.chunks:
            rows = slice(start * group, end * group)
            logits, tanh = _logits(q[:, rows], k[:, :end], ctx.scale, ctx.softcap, ctx.mask_of(start, end))
            weights = logits.softmax(-1)
            d_weights = torch.bmm(d_out[:, rows], v[:, :end].transpose(1, 2)).to(weights.dtype)
            d_logits = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)
            if tanh is not None:
                d_logits = torch.addcmul(d_logits, d_logits, tanh.square_(), value=-1.0)  # d (1 - tanh^2)
            d_logits, weights = d_logits.to(q.dtype), weights.to(v.dtype)
            dq[:, rows] = torch.bmm(d_logits, k[:, :end]).mul_(ctx.scale)
            dk[:, :end] += torch.bmm(d_logits.transpose(1, 2), q[:, rows]).mul_(ctx.scale)
            dv[:, :end] += torch.bmm(weights.transpose(1, 2), d_out[:, rows])
        return dq, dk, dv, None, None, None, None


def _logits(q: Tensor, k: Tensor, scale: float, softcap: float | None, mask: Tensor) -> tuple[Tensor, Tensor | None]:
    """Capped and masked logits [N, rows, keys], fp32 or wider; and the tanh of the cap, which backward needs."""
    wide = torch.promote_types(q.dtype, torch.float32)
    if softcap is None and q.dtype == wide:
        return torch.baddbmm(mask.to(wide), q, k.transpose(1, 2), alpha=scale), None
    logits = torch.bmm(q, k.transpose(1, 2)).to(wide)
    if softcap is None:
        return logits.mul_(scale).add_(mask), None
    tanh = logits.mul_(scale / softcap).tanh_()
    return (tanh * softcap).add_(mask), tanh


def causal_mask(position_S: Tensor, first_BS: Tensor | None, start: int, end: int, *, group: int, n_kv: int) -> Tensor:
    """0 where a query sees a key and MASKED where not, for the positions of one chunk: [1 or N, rows, keys]."""
    key_T, query_C = position_S[:end], position_S[start:end]
    hidden = key_T > query_C[:, None]
    hidden = hidden[None] if first_BS is None else hidden | (key_T < first_BS[:, start:end, None])
    mask = torch.where(hidden, MASKED, 0.0).repeat_interleave(group, 1)
    return mask if first_BS is None else mask.repeat_interleave(n_kv, 0)
