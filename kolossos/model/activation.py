"""The gate of a gated MLP and its derivative, as torch's own kernels."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """ "silu" (SwiGLU) or "gelu_tanh" (GeGLU with the tanh approximation, as in Grok)."""
    if name == "silu":
        return F.silu
    assert name == "gelu_tanh", name
    return lambda x: F.gelu(x, approximate="tanh")


def activation_backward(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """(gradient of the output, input) -> gradient of the input."""
    if name == "silu":
        return torch.ops.aten.silu_backward
    assert name == "gelu_tanh", name
    return lambda grad, x: torch.ops.aten.gelu_backward(grad, x, approximate="tanh")
