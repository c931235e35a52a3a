"""Timing in rounds: every case once a round, again and again until time is up, so that no case has all the bad luck.

The best round of a case is what the computer can do and what the fits use: other programs only ever add time. The
median over the rounds says how disturbed the measurement was. A long sample never finds the cores free on a busy
computer; there the CPU time of the busiest thread counts in place of the wall clock (Linux), which leaves out the
time that other programs had the core. On a quiet computer the two agree.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

SHORTEST_SAMPLE_S = {"cpu": 2e-4, "cuda": 2e-3}
"""On a card long enough that launches run ahead of the kernels."""
LONG_SAMPLE_S = 2e-3
THREADS = Path("/proc/self/task")
MIN_ROUNDS = 2
Tick = Callable[[], None]


@dataclass
class Case:
    """One operation to time. ``calls``: how many of them one sample holds."""

    key: Any
    run: Callable[[], object]
    calls: int = 1
    samples: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """Seconds of one call in the best round."""
        return min(self.samples)

    @property
    def spread(self) -> float:
        """Median of the rounds over the best, less 1."""
        return statistics.median(self.samples) / self.best - 1.0


class Clock:
    """Seconds of work on one device: the wall clock or the busiest thread on a CPU, events on a CUDA device."""

    def __init__(self, device: torch.device):
        self.device = device

    def seconds(self, run: Callable[[], object], calls: int = 1) -> float:
        """Of one call, averaged over ``calls`` in a row."""
        if self.device.type == "cuda":
            return self._seconds_on_card(run, calls)
        before, start = thread_seconds(), time.perf_counter()
        for _ in range(calls):
            run()
        wall = time.perf_counter() - start
        if wall < LONG_SAMPLE_S or not before:
            return wall / calls
        busiest = max(after - before.get(thread, 0.0) for thread, after in thread_seconds().items())
        return (min(wall, busiest) or wall) / calls

    def _seconds_on_card(self, run: Callable[[], object], calls: int) -> float:
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        for _ in range(calls):
            run()
        last.record()
        torch.cuda.synchronize(self.device)
        return first.elapsed_time(last) * 1e-3 / calls

    def warm_up(self, case: Case) -> None:
        """Run once to compile and touch memory, then choose how many calls make a sample that a clock can see."""
        self.seconds(case.run)
        once = self.seconds(case.run)
        case.calls = max(1, min(1000, round(SHORTEST_SAMPLE_S[self.device.type] / max(once, 1e-7))))


def thread_seconds() -> dict[int, float]:
    """CPU seconds of each thread of this process so far; {} where the system does not tell (not Linux)."""
    seconds = {}
    try:
        for thread in map(int, os.listdir(THREADS)):
            seconds[thread] = time.clock_gettime(_clock_of(thread))
    except (OSError, AttributeError):
        return {}
    return seconds


def _clock_of(thread: int) -> int:
    """Linux's number for the CPU clock of a thread (MAKE_THREAD_CPUCLOCK in the kernel's posix-timers.h)."""
    return (~thread << 3) | 6


def time_in_rounds(clock: Clock, cases: Sequence[Case], deadline: float, tick: Tick) -> None:
    """Fill the samples of ``cases`` until ``deadline`` (of time.perf_counter), two rounds at least.

    ``tick`` is called after every sample.
    """
    for case in cases:
        clock.warm_up(case)
        tick()
    rounds = 0
    while rounds < MIN_ROUNDS or time.perf_counter() < deadline:
        for case in cases:
            case.samples.append(clock.seconds(case.run, case.calls))
            tick()
            if rounds >= MIN_ROUNDS and time.perf_counter() > deadline:
                return
        rounds += 1
