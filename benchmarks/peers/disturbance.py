"""How much of the machine other processes used meanwhile: a speed measured beside much of it is worth little."""

import os
import resource
import time
from pathlib import Path

STAT = Path("/proc/stat")


class Disturbance:
    """From its making on, the cores that were busy on average with anything but this process and its ended children."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._busy_before = machine_cpu_seconds()
        self._own_before = own_cpu_seconds()

    def cores(self) -> float | None:
        """None where the system does not tell."""
        busy = machine_cpu_seconds()
        if busy is None or self._busy_before is None:
            return None
        others = (busy - self._busy_before) - (own_cpu_seconds() - self._own_before)
        return max(0.0, others / (time.perf_counter() - self._start))


def machine_cpu_seconds() -> float | None:
    """Seconds that all cores together were not idle since the start of the machine (proc(5): idle, iowait 4th, 5th)."""
    if not STAT.exists():
        return None
    jiffies = [int(field) for field in STAT.read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(jiffies) - jiffies[3] - jiffies[4]) / os.sysconf("SC_CLK_TCK")


def own_cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
