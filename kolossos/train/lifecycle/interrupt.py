"""Signals as a wish that the loop reads between steps: Ctrl-C, SIGTERM, SIGHUP, SIGUSR1. The same one again: at once.

SIGUSR1 is what batch systems send some time before the end (Slurm's ``--signal``), SIGHUP what a terminal sends that is
closed; one that is ignored when the program starts (nohup) stays ignored. Where there is nothing to save, the first
signal ends at once, too.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # not every system has all
ONE_PRESS_S = 0.1
"""The same signal within this time is the same wish: make, uv and shells pass on what the terminal has sent already."""


class StoppedAtOnce(BaseException):
    """A signal that does not wait for anything to be saved."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(by.name)
        self.by = by


class Interrupt:
    """Inside its block signals raise StoppedAtOnce; inside `patience` the first is kept as a wish."""

    SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))

    def __init__(self) -> None:
        self.by: signal.Signals | None = None
        self._came_s = 0.0
        self._is_patient = False
        self._previous: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether the run is to end."""
        return self.by is not None

    @contextmanager
    def patience(self) -> Iterator[None]:
        """The first signal in this block sets ``requested`` and nothing else."""
        self._is_patient = True
        try:
            yield
        finally:
            self._is_patient = False

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                if number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now, before = time.monotonic(), self.by
        self.by = signal.Signals(number)
        if self._is_patient and (before is None or before != self.by or now - self._came_s < ONE_PRESS_S):
            self._came_s = now if before is None else self._came_s
            return
        signal.signal(number, signal.SIG_DFL)  # if even the way out hangs, the system ends the process
        raise StoppedAtOnce(self.by)
