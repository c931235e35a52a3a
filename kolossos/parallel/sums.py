"""Sums over ranks: what a step must know of all of them. On one rank nothing is sent and nothing changes.

The loss of a step is a sum over ranks, never a mean of means: each rank divides by the targets of the whole global
batch, and so do gradients, which are summed and not averaged. Unequal shares need nothing else.
"""

from collections.abc import Sequence

import torch
import torch.distributed._functional_collectives as functional
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor

from kolossos.parallel.mesh import DATA


class RankSums:
    """Adds up over the ranks of ``group`` (those that see different tokens), or over this process alone."""

    def __init__(self, group: ProcessGroup | None = None):
        self.group = group

    def of(self, value: Tensor) -> Tensor:
        """The sum of every rank's ``value``; may stand in a compiled or traced program."""
        if self.group is None:
            return value
        return functional.wait_tensor(functional.all_reduce(value, "sum", self.group))

    def of_all(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The sums of several fp32 tensors, in one exchange."""
        if self.group is None:
            return list(values)
        sums = self.of(torch.cat([value.flatten() for value in values]))
        parts = sums.split([value.numel() for value in values])
        return [part.view(value.shape) for part, value in zip(parts, values, strict=True)]


ALONE = RankSums()


def data_sums(mesh: DeviceMesh | None) -> RankSums:
    """Sums over the ranks of the mesh that see different sequences."""
    return ALONE if mesh is None else RankSums(mesh[DATA]._flatten("data").get_group())


def total_norm(gradients: list[Tensor]) -> Tensor:
    """The 2-norm of all gradients together, over all ranks where they are sharded."""
    norm = nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
