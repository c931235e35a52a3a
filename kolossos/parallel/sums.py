"""Sums over ranks: what a step must know of all of them. On one rank nothing is sent and nothing changes.

The loss of a step is a sum over ranks, never a mean of means: each rank divides by the targets of the whole global
batch, and so do gradients, which are summed and not averaged. Unequal shares need nothing else.
"""

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.tensor import DTensor

from kolossos.model.held import held_tensor
from kolossos.parallel.mesh import Meshes


class RankSums:
    """Adds up over the ranks of ``group`` (None: of this process alone)."""

    def __init__(self, group: ProcessGroup | None = None):
        self.group = group

    def of(self, value: Tensor) -> Tensor:
        """The sum of every rank's ``value``; may stand in a compiled or traced program."""
        if self.group is None:
            return value
        return functional.wait_tensor(functional.all_reduce(value, "sum", self.group))

    def of_number(self, value: float, device: torch.device) -> float:
        """The sum of every rank's ``value``, sent from ``device``."""
        if self.group is None:
            return value
        return self.of(torch.tensor(value, dtype=torch.float64, device=device)).item()

    def of_all(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The sums of several fp32 tensors, in one exchange."""
        if self.group is None:
            return list(values)
        sums = self.of(torch.cat([value.flatten() for value in values]))
        parts = sums.split([value.numel() for value in values])
        return [part.view(value.shape) for part, value in zip(parts, values, strict=True)]


ALONE = RankSums()


def all_sums(meshes: Meshes | None) -> RankSums:
    """Sums over all ranks of a layout: what a rank has no part in, it brings zeros for."""
    return ALONE if meshes is None else RankSums(dist.group.WORLD)


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The 2-norm of all gradients together, over all ranks where they are sharded."""
    if not any(isinstance(gradient, DTensor) for gradient in gradients):
        return nn.utils.get_total_norm(gradients)
    norms = torch._foreach_norm([held_tensor(gradient) for gradient in gradients])
    # a part that several ranks hold counts once in their sum
    parts = [norm.square() / holders(gradient) for norm, gradient in zip(norms, gradients, strict=True)]
    return RankSums(dist.group.WORLD).of(torch.stack(parts).sum()).sqrt()


def clip(gradients: Sequence[Tensor], limit: float, norm: Tensor) -> None:
    """Scale gradients of this ``norm`` down to ``limit`` if it is more, in place, on each rank what it holds."""
    factor = torch.clamp(limit / (norm + 1e-6), max=1.0)  # as torch.nn.utils.clip_grads_with_norm_
    torch._foreach_mul_([held_tensor(gradient) for gradient in gradients], factor)


def holders(tensor: Tensor) -> int:
    """How many ranks hold the part of ``tensor`` that is here."""
    if not isinstance(tensor, DTensor):
        return 1
    mesh = tensor.device_mesh
    copies = [mesh.size(dim) for dim, placement in enumerate(tensor.placements) if placement.is_replicate()]
    return math.prod(copies)
