"""The kinds of faults, each a function that does it to a run on this computer. No torch."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kolossos.chaos.rank import FLIP
from kolossos.files import NO_SPACE
from kolossos.runs.paths import RunPaths

FILLER = "filler"
FILL_AT_ONCE = 1 << 16


class Target(Protocol):
    """What a fault may touch."""

    folder: Path

    def processes(self, replica: int) -> list[int]:
        """The process numbers of the ranks of ``replica`` that are alive."""
        ...

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do ``what`` in so many seconds."""
        ...


@dataclass(frozen=True)
class Fault:
    """One fault. replicas: those it hits. ends: whether it ends all replicas, so that the run begins again."""

    kind: str
    replicas: tuple[int, ...]
    loses: bool = True
    ends: bool = False
    seconds: float = 0.0


@dataclass
class Kind:
    """How a kind of fault is done, and how often beside the others."""

    weight: float
    do: Callable[[Target, Fault, random.Random], None]
    loses: bool = True  # replicas it hits are counted as lost
    ends: bool = False
    hits_all: bool = False
    seconds: tuple[float, float] = field(default=(0.0, 0.0))


def draw(random_: random.Random, replicas: int, kinds: dict[str, Kind]) -> Fault:
    """A fault of one of ``kinds``, by their weights, on a random replica."""
    name = random_.choices(list(kinds), [kind.weight for kind in kinds.values()])[0]
    kind = kinds[name]
    hit = tuple(range(replicas)) if kind.hits_all else (random_.randrange(replicas),)
    return Fault(name, hit, kind.loses, kind.ends, random_.uniform(*kind.seconds))


def _kill_rank(target: Target, fault: Fault, random_: random.Random) -> None:
    _signal([random_.choice(target.processes(fault.replicas[0]))], signal.SIGKILL)


def _kill_replica(target: Target, fault: Fault, _: random.Random) -> None:
    _signal(target.processes(fault.replicas[0]), signal.SIGKILL)


def _kill_twice(target: Target, fault: Fault, random_: random.Random) -> None:
    """Once, and again while it comes back."""
    replica = fault.replicas[0]
    _signal(target.processes(replica), signal.SIGKILL)
    target.later(random_.uniform(0.3, 3.0), lambda: _signal(target.processes(replica), signal.SIGKILL))


def _kill_all(target: Target, fault: Fault, _: random.Random) -> None:
    _signal([pid for replica in fault.replicas for pid in target.processes(replica)], signal.SIGKILL)


def _stop_rank(target: Target, fault: Fault, random_: random.Random) -> None:
    _signal([random_.choice(target.processes(fault.replicas[0]))], signal.SIGSTOP)


def _slow_rank(target: Target, fault: Fault, random_: random.Random) -> None:
    pid = random_.choice(target.processes(fault.replicas[0]))
    _signal([pid], signal.SIGSTOP)
    target.later(fault.seconds, lambda: _signal([pid], signal.SIGCONT))


def _flip_bit(target: Target, fault: Fault, random_: random.Random) -> None:
    """Of a gradient that one rank is about to compute; nothing but a replay notices."""
    _signal([random_.choice(target.processes(fault.replicas[0]))], FLIP)
    target.later(fault.seconds, lambda: None)  # to be found, or not


def _damage_and_kill_all(target: Target, fault: Fault, random_: random.Random) -> None:
    """The newest checkpoint, so that the one before it must do."""
    files = sorted(RunPaths(target.folder).checkpoints.glob("step-*/*.safetensors"))
    if files:
        newest = [file for file in files if file.parent == files[-1].parent]
        with suppress(OSError), open(random_.choice(newest), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(random_.randrange(size // 2, size))
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 255]))
    _kill_all(target, fault, random_)


def _stop_run(target: Target, fault: Fault, _: random.Random) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _fill_disk(target: Target, fault: Fault, _: random.Random) -> None:
    """All that is left on the disk of the run folder: for a small file system of its own alone."""
    try:
        with open(target.folder.parent / FILLER, "ab", buffering=0) as file:
            while file.write(bytes(FILL_AT_ONCE)):
                pass
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise


def free_disk(folder: Path) -> None:
    """Take away what `_fill_disk` wrote."""
    (folder.parent / FILLER).unlink(missing_ok=True)


def _signal(processes: list[int], number: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


KINDS = {
    "a rank killed": Kind(6, _kill_rank),
    "a replica killed": Kind(3, _kill_replica),
    "killed again while coming back": Kind(2, _kill_twice),
    "a rank hangs": Kind(2, _stop_rank),
    "a rank slow for a while": Kind(2, _slow_rank, loses=False, seconds=(0.3, 1.0)),
    "all replicas killed": Kind(1, _kill_all, ends=True, hits_all=True),
    "newest checkpoint damaged, all killed": Kind(1, _damage_and_kill_all, ends=True, hits_all=True),
    "stopped by SIGTERM, started again": Kind(1, _stop_run, loses=False, ends=True, hits_all=True),
}
"""Those that need nothing but processes."""

FLIPPED = {"a bit of a gradient flipped": Kind(3, _flip_bit, loses=False, seconds=(2.0, 3.0))}
"""For a run with compute.replay_every. Not found, it stays in the weights of all."""

DISK_FULL = {"disk full": Kind(1, _fill_disk, loses=False, ends=True, hits_all=True)}
"""For a run folder on a file system of its own."""
