"""Times single steps from the outside: a contestant calls `lap` after each step, whoever owns its loop."""

import resource
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Stopwatch:
    warmup_steps: int
    step_seconds: list[float] = field(default_factory=list)
    n_laps: int = 0
    _last_lap: float = 0.0
    _cpu_start: float = 0.0

    def lap(self) -> None:
        now = time.perf_counter()
        self.n_laps += 1
        if self.n_laps == self.warmup_steps:
            self._cpu_start = time.process_time()
        elif self.n_laps > self.warmup_steps:
            self.step_seconds.append(now - self._last_lap)
        self._last_lap = time.perf_counter()

    def timed(self, batches: np.ndarray) -> Iterator[np.ndarray]:
        """The batches one by one; a lap is taken when the loop comes back for the next."""
        for batch in batches:
            yield batch
            self.lap()

    def measurement(self, tokens_per_step: int) -> dict:
        """Everything a row of the table needs about time and memory."""
        median = statistics.median(self.step_seconds)
        cpu_seconds = time.process_time() - self._cpu_start
        return {
            "step_seconds_median": median,
            "step_seconds_min": min(self.step_seconds),
            "step_seconds_max": max(self.step_seconds),
            "tokens_per_s": tokens_per_step / median,
            "tokens_per_cpu_s": tokens_per_step * len(self.step_seconds) / cpu_seconds,
            "peak_rss_mib": peak_rss_bytes() / 2**20,
        }


def peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
