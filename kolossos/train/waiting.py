"""How OpenMP's threads wait for each other: decided before torch is loaded, for libgomp reads it once.

Waiting threads that spin are 20 to 30 % faster on a quiet machine. As soon as another program takes a core, they hold
the core that the thread they wait for could run on, and a step takes up to ten times as long. So they spin only if the
other programs leave all cores alone when the command starts (benchmarks/train_speed.py --busy measures both).
"""

import os
import time
from pathlib import Path

SAMPLE_S = 0.2
BUSY_CORES = 0.25


def choose_waiting() -> None:
    """Set OMP_WAIT_POLICY unless the person did. Has no effect once torch is loaded."""
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        return
    busy = cores_of_others()
    if busy is None or busy > BUSY_CORES:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


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
