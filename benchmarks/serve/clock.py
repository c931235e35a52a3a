"""CPU seconds and memory of this process, and what they say of an answer."""

import os
import time
from pathlib import Path

STATUS = Path("/proc/self/status")


class Clock:
    """Hears of every token of an answer to several prompts and notes the CPU seconds, of all threads, at which it came.

    Before the first token nothing is said. Every row must be heard of.
    """

    def __init__(self, rows: int) -> None:
        self.at: list[list[float]] = [[] for _ in range(rows)]
        self.tokens: list[list[int]] = [[] for _ in range(rows)]
        self.restart()

    def restart(self) -> None:
        """From here on the answer is timed."""
        self._start = time.process_time()

    def heard(self, row: int, token: int) -> None:
        self.at[row].append(time.process_time() - self._start)
        self.tokens[row].append(token)

    def first(self) -> float:
        """CPU seconds until the first token of all."""
        return min(times[0] for times in self.at)

    def rate(self) -> float:
        """Tokens a CPU-second while all rows were being answered: from the last row's first token to the first's end.

        Every row gets a token in every step, so the tokens of the row that began last are counted, times the rows; the
        tokens of one step are heard one after the other, so half a step of leeway decides which step an end belongs to.
        """
        last = max(self.at, key=lambda times: times[0])
        end = min(times[-1] for times in self.at)
        step = (last[-1] - last[0]) / (len(last) - 1)
        counted = [at for at in last if at <= end + step / 2]
        return len(self.at) * (len(counted) - 1) / (counted[-1] - counted[0])


def memory_mib() -> dict[str, float]:
    """Resident memory of this process, now and at its peak; {} where the system does not tell (proc(5))."""
    if not STATUS.exists():
        return {}
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    return {name: int(fields[key].split()[0]) / 1024 for name, key in (("rss_mib", "VmRSS"), ("peak_mib", "VmHWM"))}


def stay_on(core: int) -> None:
    """Keep this process and all its threads on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
