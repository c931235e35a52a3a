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

from kolossos.specs.tokens import IGNORED_TARGET

CHUNK_BYTES = {"cpu": 8 << 20, "cuda": 128 << 20}
"""Of one chunk's logits: large enough for the matrix units, small beside a model's activations. Each chunk also adds to
the gradient of the whole matrix, on a GPU 16 of the 160 ms of a step with 128 chunks (benchmarks/gpu/step.py)."""


ChunkLoss = Callable[[Tensor, Tensor, Tensor, float, float | None], tuple[Tensor, Tensor, Tensor, Tensor]]


def linear_cross_entropy(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    targets_N: Tensor,
    multiplier: float,
    softcap: float | None,
    chunk_loss: ChunkLoss,
) -> Tensor:
    """Sum (nats, fp32 scalar) of -log p(target) over tokens whose target is not ``IGNORED_TARGET``.

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
        total += F.cross_entropy(logits, targets, ignore_index=IGNORED_TARGET, reduction="sum")
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
        d_weight_VD: Tensor | None = None
        start = 0
        for hidden, targets in _chunks(hidden_ND, targets_N, weight_VD.shape[0]):
            product_CV = F.linear(hidden, weight_VD)
            safe_C1 = targets.clamp(min=0)[:, None]
            target_C1 = product_CV.gather(1, safe_C1)
            loss, d_product_CV, d_target_C, scale_C = chunk_loss(product_CV, target_C1, targets, multiplier, softcap)
            d_product_CV.view(-1)[_flat_index(safe_C1, d_product_CV)] = d_target_C
            scale_C1 = scale_C[:, None].to(hidden.dtype)
            total += loss
            d_hidden = d_hidden_ND[start : start + len(targets)]
            torch.mm(d_product_CV, weight_VD, out=d_hidden).mul_(scale_C1)
            part = d_product_CV.t() @ (hidden * scale_C1)
            d_weight_VD = part if d_weight_VD is None else d_weight_VD.to(total.dtype).add_(part)
            start += len(targets)
        assert d_weight_VD is not None
        ctx.save_for_backward(d_hidden_ND, d_weight_VD)
        ctx.weight_dtype = weight_VD.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden_ND, d_weight_VD = ctx.saved_tensors
        d_hidden = d_hidden_ND * grads[0].to(d_hidden_ND.dtype)
        # in place: the gradient of the matrix is as large as the matrix, and nothing reads it again
        return d_hidden, d_weight_VD.mul_(grads[0]).to(ctx.weight_dtype), None, None, None, None


def chunk_loss(
    product_CV: Tensor, target_product_C1: Tensor, targets_C: Tensor, multiplier: float, softcap: float | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Loss of a chunk (sum, fp32), and its gradient with respect to ``product`` = hidden x weight, in three parts.

    Row c of the gradient is scale_C[c] times d_product_CV[c], with d_target_C[c] in the target's place. So exp is taken
    once an element, nothing is compared with the target, and the scale is multiplied into the narrow hidden states.
    """
    logits_CV, slope_CV = _capped(product_CV, multiplier, softcap)
    largest_C1 = logits_CV.amax(-1, keepdim=True)
    exp_CV = logits_CV.sub_(largest_C1).exp_()  # in place: new memory costs more than the arithmetic, not compiled
    total_C = exp_CV.sum(-1)
    d_product_CV = (exp_CV if slope_CV is None else exp_CV * slope_CV).to(product_CV.dtype)
    target_C1, slope_C1 = _capped(target_product_C1, multiplier, softcap)
    counted_C = targets_C != IGNORED_TARGET
    distance_C = (largest_C1 - target_C1)[:, 0]
    loss = ((distance_C + total_C.log()) * counted_C).sum()
    d_target_C = torch.exp(-distance_C) - total_C
    if slope_C1 is not None:
        d_target_C = d_target_C * slope_C1[:, 0]
    return loss, d_product_CV, d_target_C.to(product_CV.dtype), counted_C * multiplier / total_C


def _capped(product: Tensor, multiplier: float, softcap: float | None) -> tuple[Tensor, Tensor | None]:
    """Wide logits, and their slope with respect to ``multiplier`` x product where there is a soft cap."""
    logits = product.to(_wide(product.dtype)) * multiplier
    if softcap is None:
        return logits, None
    tanh = 1 - 2 / (1 + torch.exp(logits * (2 / softcap)))  # compiled, it takes half the time of torch.tanh
    return softcap * tanh, 1 - tanh * tanh


def _flat_index(column_C1: Tensor, matrix_CV: Tensor) -> Tensor:
    """Where each row's column stands in the flattened matrix; torch's scatter_ along rows copies all of it."""
    rows_C = torch.arange(matrix_CV.shape[0], device=matrix_CV.device)
    return rows_C * matrix_CV.shape[1] + column_C1[:, 0]


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _chunks(hidden_ND: Tensor, targets_N: Tensor, vocab: int) -> Iterator[tuple[Tensor, Tensor]]:
    chunk_bytes = CHUNK_BYTES["cuda" if hidden_ND.is_cuda else "cpu"]
    rows = max(64, chunk_bytes // (hidden_ND.element_size() * vocab))
    return zip(hidden_ND.split(rows), targets_N.split(rows), strict=True)
