"""A matrix without bias whose parameter stays in fp32 while the product runs in the dtype of the activations."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Module):
    """y = x W^T with W [out, in]. The cast of W is a no-op where FSDP already hands out bf16 parameters."""

    def __init__(self, in_dim: int, out_dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_dim, in_dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))
