"""Products of rows, sorted by expert, with one matrix an expert.

`grouped_mm` and `grouped_outer` are custom operators around torch's grouped product. As operators of our own they can
be traced (under fake tensors torch 2.13's accepts only bf16), take any gradient (its backward rejects expanded ones)
and carry a FLOP formula, so that FlopCounterMode counts experts like any other product.

Shapes: R rows, E experts, I inner width, O outer width; ends_E (int32) is the running sum of the rows an expert has.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from kolossos.model.experts.grouped_cpu import mm_cpu_bf16, outer_cpu_bf16


@torch.library.custom_op("kolossos::grouped_mm", mutates_args=())
def grouped_mm(x_RI: Tensor, w_EIO: Tensor, ends_E: Tensor) -> Tensor:
    """Row r times the matrix of its expert, [R, O]. No row is dropped; experts without rows are allowed."""
    if x_RI.dtype == torch.float64:  # torch's kernel has none, and checks want it
        pieces = torch.tensor_split(x_RI, ends_E[:-1].tolist())
        return torch.cat([piece @ w for piece, w in zip(pieces, w_EIO, strict=True)])
    if x_RI.dtype == torch.bfloat16 and x_RI.device.type == "cpu":
        return mm_cpu_bf16(x_RI, w_EIO, ends_E)
    return torch._grouped_mm(x_RI, w_EIO, offs=ends_E)


@grouped_mm.register_fake
def _(x_RI: Tensor, w_EIO: Tensor, ends_E: Tensor) -> Tensor:
    return x_RI.new_empty(x_RI.shape[0], w_EIO.shape[2])


@torch.library.custom_op("kolossos::grouped_outer", mutates_args=())
def grouped_outer(x_RI: Tensor, y_RO: Tensor, ends_E: Tensor) -> Tensor:
    """Sum over each expert's rows of x^T y, [E, I, O]: the gradient of its matrix."""
    if x_RI.dtype == torch.float64:
        cuts = ends_E[:-1].tolist()
        pieces = zip(torch.tensor_split(x_RI, cuts), torch.tensor_split(y_RO, cuts), strict=True)
        return torch.stack([x.t() @ y for x, y in pieces])
    if x_RI.dtype == torch.bfloat16 and x_RI.device.type == "cpu":
        return outer_cpu_bf16(x_RI, y_RO, ends_E)
    return torch._grouped_mm(x_RI.t(), y_RO, offs=ends_E)


@grouped_outer.register_fake
def _(x_RI: Tensor, y_RO: Tensor, ends_E: Tensor) -> Tensor:
    return x_RI.new_empty(ends_E.shape[0], x_RI.shape[1], y_RO.shape[1])


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _grouped_mm_backward(ctx: Any, grad_RO: Tensor) -> tuple[Tensor, Tensor, None]:
    x_RI, w_EIO, ends_E = ctx.saved_tensors
    grad_RO = grad_RO.contiguous()
    return grouped_mm(grad_RO, w_EIO.transpose(1, 2), ends_E), grouped_outer(x_RI, grad_RO, ends_E), None


grouped_mm.register_autograd(_grouped_mm_backward, setup_context=_save)


@register_flop_formula(torch.ops.kolossos.grouped_mm)
def _mm_flops(x_shape: tuple[int, ...], w_shape: tuple[int, ...], *_: Any, **__: Any) -> int:
    return 2 * x_shape[0] * w_shape[1] * w_shape[2]


@register_flop_formula(torch.ops.kolossos.grouped_outer)
def _outer_flops(x_shape: tuple[int, ...], y_shape: tuple[int, ...], *_: Any, **__: Any) -> int:
    return 2 * x_shape[0] * x_shape[1] * y_shape[1]
