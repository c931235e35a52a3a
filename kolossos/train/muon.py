"""Muon (Keller Jordan, 2024): momentum, made nearly orthogonal by Newton-Schulz iterations.

The same update as torch.optim.Muon, which takes one matrix at a time; here an expert tensor [E, in, out] is E matrices
whose products are batched, which takes half the time on a CPU. Torch iterates in bf16; here it is in the
precision of the model's products, for a processor may only emulate bf16, and an fp32 run then rounds nothing to bf16.
"""

import math

import torch
from torch import Tensor, nn

from kolossos.model.held import held_slices, held_tensor, on_one_rank, whole_tensor

A, B, C = 3.4445, -4.7750, 2.0315  # of the quintic a X + b X X'X + c (X X')^2 X, as torch.optim.Muon has them
NEWTON_SCHULZ_STEPS = 3  # torch takes 5; training curves are the same with 3 (docs/training.md)
EPS = 1e-7


class Muon:
    """Updates ``parameters`` [..., in, out] with ``momenta``; a gradient must be there for each."""

    def __init__(
        self,
        parameters: list[nn.Parameter],
        momenta: list[Tensor],
        lr: float,
        *,
        momentum: float,
        weight_decay: float,
        products: torch.dtype = torch.bfloat16,
    ):
        self.pairs = list(zip(parameters, momenta, strict=True))
        self.lr, self.momentum, self.weight_decay, self.products = lr, momentum, weight_decay, products

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One update with ``factor`` times the peak rate."""
        lr = self.lr * factor
        for parameter, momentum in self.pairs:
            assert parameter.grad is not None
            rows, columns = parameter.shape[-2:]
            held, momentum, gradient = (held_tensor(x) for x in (parameter, momentum, parameter.grad))
            momentum.lerp_(gradient, 1 - self.momentum)
            nesterov = gradient.lerp(momentum, self.momentum)
            held.mul_(1 - lr * self.weight_decay)
            direction = _direction(nesterov, parameter, self.products)
            held.add_(direction, alpha=-lr * math.sqrt(max(1.0, rows / columns)))


def _direction(held: Tensor, parameter: Tensor, products: torch.dtype) -> Tensor:
    """The orthogonalized update of what this rank holds of ``parameter``; ``held`` is its part of the momentum.

    Matrices that are cut are gathered whole: each rank does the work of all.
    """
    if on_one_rank(-1, parameter) and on_one_rank(-2, parameter):
        return orthogonalized(held, products) if held.numel() else held
    return orthogonalized(whole_tensor(held, parameter), products)[held_slices(parameter)]


def orthogonalized(matrices: Tensor, products: torch.dtype, steps: int = NEWTON_SCHULZ_STEPS) -> Tensor:
    """Each matrix [..., in, out] with its singular values moved towards one, in the dtype ``products``."""
    x = matrices.to(products).view(-1, *matrices.shape[-2:])
    wide = x.shape[-2] <= x.shape[-1]
    if not wide:
        x = x.mT.contiguous()
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=EPS)
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return (x if wide else x.mT).reshape(matrices.shape)
