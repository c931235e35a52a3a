"""A matrix, by default without bias; parameters stay in fp32 and the product has the dtype of the activations."""

import torch.nn.functional as F
from torch import Tensor, nn

from kolossos.model.held import usable


class Linear(nn.Linear):
    """y = x W^T (+ b) with W [out, in]; torch's tensor parallelism and torchao take it for the nn.Linear it is.

    The cast of W is a no-op where it has the dtype of the activations already.
    """

    def __init__(self, in_dim: int, out_dim: int, bias: bool = False):
        super().__init__(in_dim, out_dim, bias=bias)

    def reset_parameters(self) -> None:
        """Nothing: `kolossos.model.init.initialize` gives the first values."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else usable(self.bias).to(x.dtype)
        return F.linear(x, usable(self.weight).to(x.dtype), bias)
