"""Replicas of a run on this computer that come and go: each is started again when one of its processes ends.

The coordinator (coordinator.py) is a part of this process. Who is counted as lost is ended by force first: what no
longer takes part writes nothing.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from kolossos.launch.coordinator import Coordinator
from kolossos.launch.job import REFUSED, STOPPED
from kolossos.launch.node import ENDED_BY_FORCE_S, FORWARDED
from kolossos.launch.replicas import FORKED, LOADED_ONCE, Replica, prepare_environment

TICK_S = 0.01


class Replicas:
    """``replicas`` of ``ranks`` processes each, which all run ``kolossos`` with ``command``.

    restarts: how often each may be started again; then the others go on without it. tell: hears what happens.
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
        tell: Callable[[str], None] = lambda _: None,
    ):
        self.command, self.ranks, self.restarts, self.tell = list(command), ranks, restarts, tell
        self.coordinator = Coordinator(replicas, ranks, silent_s, stuck_s, tell=tell)
        self.all = [Replica(number) for number in range(replicas)]
        self._asked: int | None = None

    def run(self, each_tick: Callable[["Replicas"], None] = lambda _: None) -> int:
        """Start all and wait until the run ends; its exit code."""
        prepare_environment()
        FORKED.set_forkserver_preload(LOADED_ONCE)
        for replica in self.all:
            self.start(replica)
        with self._signals():
            try:
                while not all(replica.ended for replica in self.all):
                    if (code := self._look()) is not None:
                        return code
                    each_tick(self)
                    time.sleep(TICK_S)
                return self._code()
            finally:
                for replica in self.all:
                    replica.end()

    def start(self, replica: Replica) -> None:
        """Begin the next life of ``replica``."""
        replica.start(self.coordinator.address, len(self.all), self.ranks, self.command)
        self.coordinator.started(replica.number, replica.life)

    def _look(self) -> int | None:
        """Who has ended, is silent or is stuck; the exit code where the run is to end for it."""
        for number, why in self.coordinator.tick():
            self._lose(self.all[number], why)
        for replica in self.all:
            if replica.gone or (code := replica.failure()) is None:
                continue
            if code == REFUSED:
                return self._end_all(REFUSED)
            how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._lose(
                replica, f"replica {replica.number}: a rank was {how}" if code < 0 else f"{replica.number} {how}"
            )
        if all(replica.gone for replica in self.all):
            return self._end_all(1)
        return None

    def _lose(self, replica: Replica, why: str) -> None:
        replica.end()
        self.coordinator.lost(replica.number, why)
        if self._asked is None and replica.life < self.restarts:
            self.start(replica)
        else:
            replica.gone = True
            self.tell(f"replica {replica.number} is not started again")

    def _end_all(self, code: int) -> int:
        for replica in self.all:
            for process in replica.processes:
                if process.is_alive():
                    process.terminate()
        deadline = time.monotonic() + ENDED_BY_FORCE_S
        while time.monotonic() < deadline and not all(replica.ended for replica in self.all):
            self.coordinator.tick()
            time.sleep(TICK_S)
        return code

    def _code(self) -> int:
        """Of a run whose ranks have all ended well, or were lost on the way."""
        codes = {process.exitcode for replica in self.all if not replica.gone for process in replica.processes}
        return STOPPED if STOPPED in codes else 0 if codes == {0} else 128 + (self._asked or signal.SIGTERM)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Inside the block a signal that asks to end goes to all ranks, which end together after their step."""

        def forward(number: int, _: FrameType | None) -> None:
            self._asked = number
            for replica in self.all:
                for process in replica.processes:
                    if process.pid is not None and process.is_alive():
                        os.kill(process.pid, number)

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
