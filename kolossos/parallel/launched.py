"""What torchrun (or another launcher) says in the environment of its processes. No torch."""

import os
from dataclasses import dataclass


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
        return cls(rank, world, local) if world > 1 else cls()
