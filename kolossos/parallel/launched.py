"""What torchrun (or another launcher) says in the environment of its processes. No torch."""

import os
from dataclasses import dataclass

CUT_OFF = 76
"""Exit code of a rank that no longer reaches the coordinator."""

DIFFERS = 77
"""Exit code of a rank that holds other bits than those of the other replicas."""

MISCOMPUTED = 78
"""Exit code of a rank that computed another gradient than other replicas did of the same data."""

ABSENT = 79
"""Stands for the exit code of ranks on a node that nobody hears of."""


@dataclass(frozen=True)
class Launched:
    """This process among those of one job."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @classmethod
    def here(cls) -> "Launched":
        """As the environment says; a process that was started alone is a job of one."""
        rank, world, local = (int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        return cls(rank, world, local) if world > 1 else cls(local_rank=local)


@dataclass(frozen=True)
class Seat:
    """Which replica this process belongs to, how often it was started before (``life``), and its rank in it.

    begins: whether this replica makes the run's folder, or adopts what is changed in it.
    """

    replica: int
    replicas: int
    life: int
    rank: int
    ranks: int
    coordinator: str
    begins: bool = False

    @classmethod
    def here(cls) -> "Seat | None":
        """As the environment says, None where replicas do not come and go."""
        coordinator = os.environ.get("KOLOSSOS_COORDINATOR")
        if not coordinator:
            return None
        replica, replicas, life, rank, ranks = (
            int(os.environ.get(name, default))
            for name, default in (
                ("KOLOSSOS_REPLICA", "0"),
                ("KOLOSSOS_REPLICAS", "1"),
                ("KOLOSSOS_LIFE", "0"),
                ("RANK", "0"),
                ("WORLD_SIZE", "1"),
            )
        )
        return cls(replica, replicas, life, rank, ranks, coordinator)
