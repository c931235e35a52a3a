"""Threads on a shared machine: how many, and how they wait for each other. Decided before torch is loaded.

Waiting threads that spin are 20 to 30 % faster on a quiet machine. As soon as another program takes a core, they hold
the core that the thread they wait for could run on, and a step takes up to ten times as long. So they spin only if the
other programs leave all cores alone when the command starts, and a core that is taken gets no thread: waiting for
a thread that must share its core costs more than that thread brings (benchmarks/train_speed.py --busy measures it).
"""

import os
import time
from pathlib import Path

SAMPLE_S = 0.2
BUSY_CORES = 0.25


def choose_waiting() -> float:
    """Set OMP_WAIT_POLICY (libgomp reads it once, when torch is loaded) unless the person did.

    Returns the cores that other programs keep busy, 0 where the system does not tell.
    """
    busy = cores_of_others()
    chosen = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if not chosen and (busy is None or busy > BUSY_CORES):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return busy or 0.0


def free_threads(available: int, busy_cores: float) -> int:
    """How many of ``available`` threads to use beside programs that keep ``busy_cores`` busy; 1 at least."""
    return max(1, available - round(busy_cores))


def cores_of_others(sample_s: float = SAMPLE_S) -> float | None:
    """Cores that other processes keep busy, over a short sample; None where the system does not tell (not Linux)."""
    before, start = _busy_seconds(), time.perf_counter()
    if before is None:
        return None
    own_before = time.process_time()
    time.sleep(sample_s)
    after, seconds = _busy_seconds(), time.perf_counter() - start
    own = time.process_time() - own_before
    return None if after is None else max(0.0, (after - before - own) / seconds)


def _busy_seconds() -> float | None:
    """CPU seconds of all processes since the start of the machine: user, nice, system, irq, softirq and steal."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    ticks = [int(field) for field in fields[:8]]
    idle, iowait = ticks[3], ticks[4]
    return (sum(ticks) - idle - iowait) / os.sysconf("SC_CLK_TCK")
