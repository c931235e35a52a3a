"""Cross-entropy straight from hidden states: logits exist for one chunk of tokens at a time, never whole.

The gradient is computed together with the loss, while a chunk's logits are at hand, so nothing of size [N, V]
survives and nothing is computed twice (the idea of Liger's fused linear cross-entropy, arXiv:2410.10989).

Shapes: N tokens, D dim, V vocabulary, C tokens of a chunk.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -1
CHUNK_BYTES = 8 << 20  # of one chunk's fp32 logits: small enough for a core's cache, large enough for the matrix units


ChunkLoss = Callable[[Tensor, Tensor, float, float | None], tuple[Tensor, Tensor]]


def linear_cross_entropy(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    targets_N: Tensor,
    multiplier: float,
    softcap: float | None,
    chunk_loss: ChunkLoss,
) -> Tensor:
    """Sum (nats, fp32 scalar) of -log p(target) over tokens whose target is not ``IGNORE``.

    ``chunk_loss`` is the function of that name below, or a compiled form of it.
    """
    weight = weight_VD.to(hidden_ND.dtype)
    if torch.is_grad_enabled():
        loss = _LinearCrossEntropy.apply(hidden_ND, weight, targets_N, multiplier, softcap, chunk_loss)
        return loss  # type: ignore[return-value]
    total = hidden_ND.new_zeros((), dtype=_wide(hidden_ND.dtype))
    for hidden, targets in _chunks(hidden_ND, targets_N, weight.shape[0]):
        logits = F.linear(hidden, weight).to(total.dtype) * multiplier
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        total += F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum")
    return total


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        targets_N: Tensor,
        multiplier: float,
        softcap: float | None,
        chunk_loss: ChunkLoss,
    ) -> Tensor:
        total = hidden_ND.new_zeros((), dtype=_wide(hidden_ND.dtype))
        d_hidden_ND = torch.empty_like(hidden_ND)
        d_weight_VD = torch.zeros_like(weight_VD, dtype=_wide(weight_VD.dtype))
        start = 0
        for hidden, targets in _chunks(hidden_ND, targets_N, weight_VD.shape[0]):
            loss, d_product = chunk_loss(F.linear(hidden, weight_VD), targets, multiplier, softcap)
            total += loss
            torch.mm(d_product, weight_VD, out=d_hidden_ND[start : start + len(targets)])
            d_weight_VD += d_product.t() @ hidden
            start += len(targets)
        ctx.save_for_backward(d_hidden_ND, d_weight_VD)
        ctx.weight_dtype = weight_VD.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden_ND, d_weight_VD = ctx.saved_tensors
        d_hidden = d_hidden_ND * grads[0].to(d_hidden_ND.dtype)
        return d_hidden, (d_weight_VD * grads[0]).to(ctx.weight_dtype), None, None, None, None


def chunk_loss(
    product_CV: Tensor, targets_C: Tensor, multiplier: float, softcap: float | None
) -> tuple[Tensor, Tensor]:
    """Loss of a chunk (sum, fp32) and its gradient with respect to ``product`` = hidden x weight, in its dtype."""
    logits_CV = product_CV.to(_wide(product_CV.dtype)) * multiplier
    slope = multiplier
    if softcap is not None:
        tanh_CV = torch.tanh(logits_CV / softcap)
        logits_CV, slope = softcap * tanh_CV, multiplier * (1 - tanh_CV * tanh_CV)
    counted_C = targets_C != IGNORE
    safe_C = targets_C.clamp(min=0)
    lse_C = logits_CV.logsumexp(-1)
    loss = ((lse_C - logits_CV.gather(1, safe_C[:, None])[:, 0]) * counted_C).sum()
    vocabulary = torch.arange(logits_CV.shape[1], device=logits_CV.device)
    d_logits_CV = torch.exp(logits_CV - lse_C[:, None]) - (vocabulary == safe_C[:, None]).to(logits_CV.dtype)
    return loss, (d_logits_CV * counted_C[:, None] * slope).to(product_CV.dtype)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _chunks(hidden_ND: Tensor, targets_N: Tensor, vocab: int) -> Iterator[tuple[Tensor, Tensor]]:
    rows = max(64, CHUNK_BYTES // (4 * vocab))
    return zip(hidden_ND.split(rows), targets_N.split(rows), strict=True)
