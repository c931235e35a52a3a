"""A matrix, by default without bias; parameters stay in fp32 and the product has the dtype of the activations."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kolossos.model.held import usable


class Linear(nn.Linear):
    """y = x W^T (+ b) with W [out, in]; torch's tensor parallelism and torchao take it for the nn.Linear it is.

    The cast of W is a no-op where it has the dtype of the activations already. ``cast_again``: backward casts for
    itself, in place of keeping the cast of forward: in a pipeline every micro-batch under way would keep one.
    """

    cast_again = False

    def __init__(self, in_dim: int, out_dim: int, bias: bool = False):
        super().__init__(in_dim, out_dim, bias=bias)

    def reset_parameters(self) -> None:
        """Nothing: `kolossos.model.init.initialize` gives the first values."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else usable(self.bias).to(x.dtype)
        weight = usable(self.weight)
        if self.cast_again and weight.dtype != x.dtype:
            product: Tensor = _CastTwice.apply(x, weight)  # type: ignore[assignment]
            return product if bias is None else product + bias
        return F.linear(x, weight.to(x.dtype), bias)


class _CastTwice(torch.autograd.Function):
    """x W^T with W of another dtype, which is all that is kept of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(x, weight.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rows, d_rows = x.flatten(0, -2), grads[0].flatten(0, -2)
        d_x = (d_rows @ weight.to(x.dtype)).view_as(x)
        return d_x, (d_rows.t() @ rows).to(weight.dtype)
