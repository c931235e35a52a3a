"""The gate of a gated MLP and its derivative: torch's own kernels, or, compiled, formulas that cost half as much."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CUBIC = 0.044715
CLAMPED_SWIGLU = "clamped_swiglu"
SWIGLU_LIMIT, SWIGLU_ALPHA = 7.0, 1.702  # openai/gpt-oss, gpt_oss/torch/model.py
SLOPE = 2 * math.sqrt(2 / math.pi)


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """ "silu" (SwiGLU) or "gelu_tanh" (GeGLU with the tanh approximation, as in Grok)."""
    if name == "silu":
        return F.silu
    assert name == "gelu_tanh", name
    return _gelu


def gated(name: str, gate: Tensor, up: Tensor) -> Tensor:
    """The hidden layer of a gated MLP; "clamped_swiglu" bounds both and adds one to ``up`` (GPT-OSS)."""
    if name != CLAMPED_SWIGLU:
        return activation(name)(gate) * up
    gate, up = gate.clamp(max=SWIGLU_LIMIT), up.clamp(-SWIGLU_LIMIT, SWIGLU_LIMIT)
    return gate * torch.sigmoid(gate * SWIGLU_ALPHA) * (up + 1)


def activation_backward(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """(gradient of the output, input) -> gradient of the input."""
    if name == "silu":
        return torch.ops.aten.silu_backward
    assert name == "gelu_tanh", name
    return _gelu_backward


def _gelu(x: Tensor) -> Tensor:
    if not torch.compiler.is_compiling():
        return F.gelu(x, approximate="tanh")
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * _gate(wide)).to(x.dtype)


def _gelu_backward(grad: Tensor, x: Tensor) -> Tensor:
    if not torch.compiler.is_compiling():
        return torch.ops.aten.gelu_backward(grad, x, approximate="tanh")
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    gate = _gate(wide)
    slope = SLOPE * (1 + 3 * CUBIC * wide * wide)
    return (grad * (gate + wide * gate * (1 - gate) * slope)).to(x.dtype)


def _gate(wide: Tensor) -> Tensor:
    """(1 + tanh(u)) / 2 = sigmoid(2 u): one exp, where tanh takes twice its time."""
    return torch.sigmoid(SLOPE * wide * (1 + CUBIC * wide * wide))
