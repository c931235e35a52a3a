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
    def codes(self) -> list[int | None]:
        """The exit codes of its ranks; None of one that has not ended."""
        return [process.exitcode for process in self.processes]

    @property
    def finished(self) -> bool:
        """Whether all of its processes have ended well."""
        return self.ended and self.failure() is None

    def failure(self) -> int | None:
        """The exit code of a rank that has ended otherwise than finished or stopped and saved; None if none has."""
        return next((code for code in self.codes if code not in (None, 0, STOPPED)), None)

    def signal(self, number: int) -> None:
        """To all ranks of it."""
        for process in self.processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, number)

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
        environment = {
            "KOLOSSOS_COORDINATOR": coordinator,
            "KOLOSSOS_REPLICA": str(self.number),
            "KOLOSSOS_REPLICAS": str(replicas),
            "KOLOSSOS_LIFE": str(self.life),
            "WORLD_SIZE": str(ranks),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()),
        }
        self.begin(environment, {rank: self.number * ranks + rank for rank in range(ranks)}, command, target)

    def begin(
        self, environment: dict[str, str], ranks: dict[int, int], command: Sequence[str], target: Callable[..., None]
    ) -> None:
        """Start processes that run ``kolossos`` with ``command``; ``ranks``: which, and the place of each here."""
        self._begin_life()
        self.processes = [
            FORKED.Process(
                target=target,
                args=({**environment, "RANK": str(rank), "LOCAL_RANK": str(place)}, list(command)),
                name=f"replica {self.number} rank {rank}",
            )
            for rank, place in ranks.items()
        ]
        for process in self.processes:
            process.start()

    def _begin_life(self) -> None:
        self._began_s, self._ended_s = time.monotonic(), None


def run_rank(environment: dict[str, str], command: list[str]) -> None:
    """In a process of its own: ``kolossos`` with ``command``."""
    os.environ.update(environment)
    sys.argv = ["kolossos", *command]
    runpy.run_module("kolossos", run_name="__main__", alter_sys=True)


def free_port() -> int:
    """A port of this computer that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
