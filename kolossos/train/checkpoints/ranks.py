"""Who takes part in saving, given as a value: nothing here asks torch for a global."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist


def _only_mine(value: Any) -> list[Any]:
    return [value]


@dataclass(frozen=True)
class Ranks:
    """This process's rank, how many there are, and how they wait for each other.

    ``gather`` is given any value (that pickles) by every rank and gives all of them back to each, in order of rank; so
    it is a barrier too.
    """

    rank: int = 0
    world: int = 1
    gather: Callable[[Any], list[Any]] = _only_mine

    @property
    def commits(self) -> bool:
        """Whether this rank is the one that commits and removes checkpoints."""
        return self.rank == 0

    @classmethod
    def of_group(cls, group: dist.ProcessGroup | None = None) -> "Ranks":
        """Those of a process group (of all processes if None); one on the CPU (gloo) is best, for it needs no GPU."""
        world = dist.get_world_size(group)

        def gather(value: Any) -> list[Any]:
            values: list[Any] = [None] * world
            dist.all_gather_object(values, value, group)
            return values

        return cls(dist.get_rank(group), world, gather)


ALONE = Ranks()
