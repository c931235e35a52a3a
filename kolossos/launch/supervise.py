"""Replicas of a run on this computer that come and go: each is started again when one of its processes ends.

The coordinator (coordinator.py) is a part of this process. Who is counted as lost is ended by force first: what no
longer takes part writes nothing.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from torch.distributed import Store

from kolossos.launch.coordinator import Coordinator
from kolossos.launch.job import REFUSED, STOPPED
from kolossos.launch.node import CRASH, ENDED_BY_FORCE_S, FORWARDED
from kolossos.launch.replicas import FORKED, LOADED_ONCE, Replica, prepare_environment, run_rank
from kolossos.parallel.launched import ABSENT, CUT_OFF, DIFFERS, MISCOMPUTED
from kolossos.runs.paths import RunPaths, is_run_folder

TICK_S = 0.01
ENDED = {
    CUT_OFF: "no longer reached the coordinator",
    DIFFERS: "held other bits than those of the other replicas",
    MISCOMPUTED: "computed another gradient than others did of the same data",
    ABSENT: "is on a node whose agent is not heard of",
}
SHORT_LIFE_S = 60.0


class Replicas:
    """``replicas`` of ``ranks`` processes each, which all run ``kolossos`` with ``command``.

    restarts: how often each may be started again in a row without having taken part for a minute; then the others go
    on without it. log: told what happens, as values with a Unix ``time``. target: what a rank's process
    calls. host, port: this computer, as ranks reach it (0: a free port). made: replicas that are not processes of this
    one, from their number and the coordinator's store.
    """

    def __init__(
        self,
        command: Sequence[str],
        replicas: int,
        ranks: int,
        *,
        silent_s: float = 10.0,
        stuck_s: float = 0.0,
        restarts: int = 3,
        log: Callable[[dict[str, Any]], None] = lambda _: None,
        target: Callable[[dict[str, str], list[str]], None] = run_rank,
        host: str = "127.0.0.1",
        port: int = 0,
        made: Callable[[int, Store], Replica] = lambda number, _: Replica(number),
    ):
        self.command, self.ranks, self.restarts, self._target = list(command), ranks, restarts, target
        self._log = log
        self.coordinator = Coordinator(replicas, ranks, silent_s, stuck_s, host, port, tell=self._tell)
        self.all = [made(number, self.coordinator.store) for number in range(replicas)]
        self._asked: int | None = None

    def run(self, each_tick: Callable[["Replicas"], None] = lambda _: None) -> int:
        """Start all and wait until the run ends; its exit code."""
        prepare_environment()
        FORKED.set_forkserver_preload(LOADED_ONCE)
        for replica in self.all:
            self._start(replica)
        with self._signals():
            try:
                while not all(replica.gone or replica.finished for replica in self.all):
                    if (code := self._look()) is not None:
                        return code
                    each_tick(self)
                    time.sleep(TICK_S)
                return self._code()
            finally:
                for replica in self.all:
                    replica.end()

    def _start(self, replica: Replica) -> None:
        replica.start(self.coordinator.address, len(self.all), self.ranks, self.command, self._target)
        self.coordinator.started(replica.number, replica.life)
        self._tell({"started": replica.number, "life": replica.life})

    def _look(self) -> int | None:
        """Who has ended, is silent or is stuck; the exit code where the run is to end for it."""
        for number, why in self.coordinator.tick():
            self._lose(self.all[number], why)
        for replica in self.all:
            if replica.gone or (code := replica.failure()) is None:
                continue
            if self.coordinator.is_over:
                replica.end()
                replica.gone = True
                continue
            how = f"was killed by signal {-code}" if code < 0 else ENDED.get(code, f"ended with exit code {code}")
            if code == REFUSED:
                self._tell({"ending": REFUSED, "why": f"replica {replica.number}: {how}"})
                return REFUSED  # what stopped it (a full disk) would stop the others
            self._lose(replica, f"replica {replica.number}: a rank {how}")
        if all(replica.gone for replica in self.all):
            return CRASH
        self._end_who_is_left()
        return None

    def _lose(self, replica: Replica, why: str) -> None:
        self._tell({"lost": replica.number, "life": replica.life, "why": why})
        replica.end()
        self.coordinator.lost(replica.number, why)
        replica.short_lives = replica.short_lives + 1 if replica.age_s < SHORT_LIFE_S else 0
        if self._asked is None and replica.short_lives <= self.restarts:
            self._start(replica)
        else:
            replica.gone = True
            self._tell({"given up": replica.number})

    def _end_who_is_left(self) -> None:
        """When one replica has come to the end all have; whoever still waits for somebody who is gone is ended."""
        finished = [replica for replica in self.all if not replica.gone and replica.finished]
        if (
            not finished
            or not self.coordinator.is_over
            or time.monotonic() - max(r.ended_s for r in finished) < ENDED_BY_FORCE_S
        ):
            return
        for replica in self.all:
            if not replica.ended:
                replica.gone = True
                replica.end()

    def _code(self) -> int:
        """Of a run whose ranks have all ended well, or were lost on the way."""
        codes = {code for replica in self.all if not replica.gone for code in replica.codes}
        return STOPPED if STOPPED in codes else 0 if codes == {0} else 128 + (self._asked or signal.SIGTERM)

    def _tell(self, what: dict[str, Any]) -> None:
        self._log({"time": time.time(), **what})

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Inside the block a signal that asks to end goes to all ranks, which end together after their step."""

        def forward(number: int, _: FrameType | None) -> None:
            self._asked = number
            for replica in self.all:
                replica.signal(number)

        before = {}
        for name in FORWARDED:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, forward)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Log:
    """Says what happens to the replicas, and writes it into a run folder once that is a run."""

    def __init__(self, folder: Path, replicas: int, say: Callable[[str], None]):
        self._folder, self._replicas, self._say = folder, replicas, say
        self._kept: list[str] = []

    def __call__(self, what: dict[str, Any]) -> None:
        if "epoch" in what:
            self._say(f"{what['why']}; {len(what['members'])} of {self._replicas} replicas take part")
        elif "given up" in what:
            self._say(f"replica {what['given up']} ended too often: the others go on without it")
        self._kept.append(json.dumps(what) + "\n")
        if is_run_folder(self._folder):
            with suppress(OSError), open(RunPaths(self._folder).replicas, "a", encoding="utf-8") as file:
                file.write("".join(self._kept))
                self._kept = []
