"""A run in which every rank waits ends within a bounded time, in a report that says who waits where.

A thread of each rank writes where the rank is into the run folder (``watch/rank-00003.json``, a few times a deadline).
A rank that is longer in one part than its deadline is overdue. The run hangs when every rank is overdue or silent: one
that computes, saves or samples, however slowly, is neither, and its neighbours wait for it up to their own exchange's
end. Rank 0 judges, the others only where it is silent. The judge writes ``hang.json`` and says one line, and every rank
that can still do anything leaves with the exit code that asks for another try. No clock of another host is compared.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kolossos.files import write_whole
from kolossos.runs.paths import RunPaths
from kolossos.train.watch.board import OF_A_STEP, Board
from kolossos.train.watch.stacks import of_nccl, waiting_in

RESTART = 75
"""The exit code (EX_TEMPFAIL) that asks a batch system or torchrun for another try."""

LONGEST_S = 540.0  # shorter than a collective waits (kolossos/train/together.py), so that the report comes first
SHORTEST_S, STEPS = 60.0, 30.0  # a step may take this many times the longest one so far
TICKS = 8  # in the shortest deadline; a rank whose file stays the same for three is silent


def deadline_s(wished_s: float, board: Board) -> float:
    """How long a rank may be in one part: ``wished_s``, or (0) what the steps so far say."""
    if wished_s:
        return wished_s
    if board.longest_step_s is None or board.place.part not in OF_A_STEP:
        return LONGEST_S
    return min(LONGEST_S, max(SHORTEST_S, STEPS * board.longest_step_s))


@contextmanager
def watched(folder: Path, board: Board, rank: int, world: int, wished_s: float = 0.0) -> Iterator[None]:
    """Inside the block the calling thread is watched; alone, a rank waits for nobody, and is not."""
    if world == 1:
        yield
        return
    watch = _Watch(RunPaths(folder), board, rank, world, wished_s)
    watch.begin()
    try:
        yield
    finally:
        watch.done.set()


class _Watch(threading.Thread):
    def __init__(self, files: RunPaths, board: Board, rank: int, world: int, wished_s: float):
        super().__init__(name="watch", daemon=True)
        self.files, self.board, self.rank, self.world, self.wished_s = files, board, rank, world, wished_s
        self.done = threading.Event()
        self._watched = threading.get_ident()
        self._ticks = 0
        self._before = self._hang()  # of an earlier attempt

    def begin(self) -> None:
        self.files.watch.mkdir(exist_ok=True)
        self._write()
        self.start()

    def run(self) -> None:
        waited = 0
        while not self.done.wait(self._tick_s):
            self._write()
            if self._hang() != self._before:
                self._leave()
            waited = waited + 1 if self._is_overdue else 0
            # the one before has this many ticks to judge; it needs three, and has none to lose where it is alive
            if waited > 5 * min(self.rank, 3):
                self._judge()

    @property
    def _tick_s(self) -> float:
        return (self.wished_s or SHORTEST_S) / TICKS  # the same on all ranks, whatever part they are in

    @property
    def _is_overdue(self) -> bool:
        return time.monotonic() - self.board.place.since_s > deadline_s(self.wished_s, self.board)

    def _write(self) -> None:
        place, self._ticks = self.board.place, self._ticks + 1
        here: dict[str, Any] = {"rank": self.rank, "host": socket.gethostname(), "process": os.getpid()}
        here |= {"part": place.part, "step": place.step, "seconds": time.monotonic() - place.since_s}
        here |= {"tick": self._ticks, "overdue": self._is_overdue}
        if here["overdue"]:
            here |= waiting_in(self._watched)
            here["nccl"] = of_nccl()
        with suppress(OSError):  # a full disk ends the run elsewhere, if it does
            write_whole(self.files.watch_of(self.rank), json.dumps(here))

    def _judge(self) -> None:
        """Look at all ranks twice; leave if none of them does anything."""
        before = [self._read(rank) for rank in range(self.world)]
        if self.done.wait(3 * self._tick_s) or self._hang() != self._before:
            return
        self._write()
        ranks = [self._read(rank) for rank in range(self.world)]
        for rank, (then, now) in enumerate(zip(before, ranks, strict=True)):
            now["silent"] = rank != self.rank and (then.get("process"), then.get("tick")) == (
                now.get("process"),
                now.get("tick"),
            )
        if not self._is_overdue or not all(found["silent"] or found.get("overdue") for found in ranks):
            return
        report = hang_report(ranks)
        with suppress(OSError):
            write_whole(self.files.hang, json.dumps(report, indent=1))
        with suppress(OSError):
            print(f"error: {self.files.folder}: {report['summary']}", file=sys.stderr, flush=True)
        self.done.wait(3 * self._tick_s)  # until the others have seen it: the end of one breaks their exchange
        self._leave()

    def _read(self, rank: int) -> dict[str, Any]:
        try:
            return json.loads(self.files.watch_of(rank).read_text())
        except (OSError, ValueError):
            return {"rank": rank}

    def _hang(self) -> tuple[int, int] | None:
        """Which report of a hang is there."""
        try:
            there = self.files.hang.stat()
        except OSError:
            return None
        return there.st_ino, there.st_mtime_ns

    def _leave(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(RESTART)  # the training thread waits in a call that nothing interrupts


def hang_report(ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """Who is to blame, as far as where all are tells: ``suspects``, a ``summary`` in a line, and all ``ranks``.

    First those that are silent (stopped, or their host is gone), then those that are in no collective while others
    are, then those in the earliest step, then those whose collective the fewest are in.
    """
    waiting = [found for found in ranks if not found["silent"] and found.get("collective")]
    suspects = [found for found in ranks if found["silent"]]
    suspects = suspects or ([found for found in ranks if not found.get("collective")] if waiting else [])
    if not suspects:
        first = min(found["step"] for found in ranks)
        suspects = [found for found in ranks if found["step"] == first]
        kinds = [(found["part"], found.get("collective")) for found in suspects]
        fewest = min(kinds.count(kind) for kind in kinds)
        suspects = [found for found, kind in zip(suspects, kinds, strict=True) if kinds.count(kind) == fewest]
    whom = "; ".join(_told(found) for found in suspects[:4]) + (" and more" if len(suspects) > 4 else "")
    others = [found for found in waiting if found not in suspects]
    summary = f"the run hangs at {whom}" + (f"; waiting for it: {_told(others[0])}" if others else "")
    if len(others) > 1:
        summary += f" and {len(others) - 1} more"
    return {"summary": summary, "suspects": [found["rank"] for found in suspects], "ranks": ranks}


def _told(found: dict[str, Any]) -> str:
    if "part" not in found:
        return f"rank {found['rank']}, which never wrote where it is"
    where = f"rank {found['rank']} on {found['host']} (step {found['step']}, {found['part']}"
    if found.get("collective"):
        ranks = found.get("group")
        where += f", in {found['collective']}" + (f" of ranks {_few(ranks)}" if ranks else "")
    return where + f", {'silent' if found['silent'] else format(found['seconds'], '.0f') + ' s'})"


def _few(ranks: list[int]) -> str:
    return ", ".join(map(str, ranks[:8])) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")
