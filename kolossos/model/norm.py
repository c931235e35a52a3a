"""RMSNorm, computed in fp32 whatever the activations' dtype (Zhang and Sennrich, arXiv:1910.07467)."""

import torch
from torch import Tensor, nn

from kolossos.model.held import usable


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dim; the result has the dtype of ``x``."""

    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * scale * usable(self.weight)).to(x.dtype)
