"""A matrix without bias whose parameter stays in fp32 while the product runs in the dtype of the activations."""

import torch.nn.functional as F
from torch import Tensor, nn

from kolossos.model.held import usable


class Linear(nn.Linear):
    """y = x W^T with W [out, in]; torch's tensor parallelism and torchao's float8 take it for the nn.Linear it is.

    The cast of W is a no-op where it has the dtype of the activations already.
    """

    def __init__(self, in_dim: int, out_dim: int):
        super().__init__(in_dim, out_dim, bias=False)

    def reset_parameters(self) -> None:
        """Nothing: `kolossos.model.init.initialize` gives the first values."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, usable(self.weight).to(x.dtype))
