"""The processes of a replica that comes and goes: forked from one that has loaded torch once. No torch.

Python's forkserver loads what all ranks need and forks them from there, so that a replica is back within a second or
two and not after the five that loading takes.
"""

import multiprocessing
import os
import runpy
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess

from kolossos.launch.job import STOPPED

FORKED = multiprocessing.get_context("forkserver")
LOADED_ONCE = ["kolossos.launch.warm", "kolossos.cli.main", "kolossos.cli.show.training", "kolossos.serve.sample"]


def prepare_environment() -> None:
    """What all ranks inherit, where nobody has set it: one thread each, that waits without spinning."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass
class Replica:
    """One replica and its processes. life: how often it was started before; gone: it is not started again."""

    number: int
    life: int = -1
    processes: list[ForkServerProcess] = field(default_factory=list)
    gone: bool = False
    short_lives: int = 0
    _began_s: float = 0.0
    _ended_s: float | None = None

    @property
    def age_s(self) -> float:
        """Of this life."""
        return time.monotonic() - self._began_s

    @property
    def ended_s(self) -> float:
        """When it was first seen to have ended."""
        self._ended_s = time.monotonic() if self._ended_s is None else self._ended_s
        return self._ended_s

    @property
    def ended(self) -> bool:
        """Whether no process of it is left."""
        return not any(process.is_alive() for process in self.processes)

    @property
    def finished(self) -> bool:
        """Whether all of its processes have ended well."""
        return self.ended and self.failure() is None

    def failure(self) -> int | None:
        """The exit code of a rank that has ended otherwise than finished or stopped and saved; None if none has."""
        codes = [process.exitcode for process in self.processes]
        return next((code for code in codes if code not in (None, 0, STOPPED)), None)

    def end(self) -> None:
        """End what is left of it by force."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()

    def start(
        self, coordinator: str, replicas: int, ranks: int, command: Sequence[str], target: Callable[..., None]
    ) -> None:
        """Begin the next life: ``ranks`` processes that run ``kolossos`` with ``command`` (through ``target``)."""
        self.life += 1
        self._began_s, self._ended_s = time.monotonic(), None
        environment = {
            "KOLOSSOS_COORDINATOR": coordinator,
            "KOLOSSOS_REPLICA": str(self.number),
            "KOLOSSOS_REPLICAS": str(replicas),
            "KOLOSSOS_LIFE": str(self.life),
            "WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
        }
        self.processes = [
            FORKED.Process(
                target=target,
                args=({**environment, "RANK": str(rank), "LOCAL_RANK": str(self.number * ranks + rank)}, list(command)),
                name=f"replica {self.number} rank {rank}",
            )
            for rank in range(ranks)
        ]
        for process in self.processes:
            process.start()


def run_rank(environment: dict[str, str], command: list[str]) -> None:
    """In a process of its own: ``kolossos`` with ``command``."""
    os.environ.update(environment)
    sys.argv = ["kolossos", *command]
    runpy.run_module("kolossos", run_name="__main__", alter_sys=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
