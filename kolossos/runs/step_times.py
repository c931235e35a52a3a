"""How long the steps of each rank took, and the parts of them, as percentiles over a whole run. No torch.

Each rank counts its own steps in buckets of 1 % and writes ``watch/steps-00003.json`` a few times a minute: nothing is
exchanged, whatever the number of ranks, and counts of several attempts add up.
"""

import json
import math
import os
import socket
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kolossos.runs.goodput import PARTS
from kolossos.runs.paths import RunPaths

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
WHOLE = "step"
PARTS_OF_STEP = (WHOLE, "compute", "exposed_communication", "data_wait", "replay", "checkpoint")
"""The step, its parts, and (a save each) the time that a checkpoint stops it."""

BUCKET = math.log(1.01)
SHORTEST_S = 1e-6  # what is shorter counts as this


@dataclass
class Times:
    """Durations, counted in buckets of 1 %."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[round(math.log(max(seconds, SHORTEST_S)) / BUCKET)] += 1

    def quantile(self, share: float) -> float:
        """Seconds that ``share`` of all took at most, within 0.5 %; NaN of none."""
        wanted, seen = share * self.counts.total(), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return math.exp(bucket * BUCKET)
        return math.nan


@dataclass
class StepTimes:
    """Of one rank (or of several together), by part; PARTS_OF_STEP are the parts."""

    rank: int = 0
    host: str = field(default_factory=socket.gethostname)
    parts: dict[str, Times] = field(default_factory=lambda: {name: Times() for name in PARTS_OF_STEP})

    @property
    def steps(self) -> int:
        """How many were timed, those that were computed again each time."""
        return self.parts[WHOLE].counts.total()

    def add_step(self, seconds: float, parts: Mapping[str, float]) -> None:
        """A step, and what its parts took (the names on the left of `goodput.PARTS`)."""
        self.parts[WHOLE].add(seconds)
        by_name: dict[str, float] = dict.fromkeys(("compute", "exposed_communication", "data_wait"), 0.0)
        for part, spent in parts.items():
            by_name[PARTS[part]] = by_name.get(PARTS[part], 0.0) + spent
        for name, spent in by_name.items():
            if name in self.parts:
                self.parts[name].add(spent)

    def add_checkpoint(self, seconds: float) -> None:
        """A save stopped the rank for so long."""
        self.parts["checkpoint"].add(seconds)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """By part, in seconds; without the parts that never were."""
        return {
            name: {quantile: times.quantile(share) for quantile, share in QUANTILES.items()}
            for name, times in self.parts.items()
            if times.counts
        }

    def write(self, path: Path) -> None:
        """Into ``path``, whole or not at all; a crash may lose the last of it, so nothing waits for the disk."""
        counts = {name: sorted(times.counts.items()) for name, times in self.parts.items()}
        beside = path.with_name(path.name + ".unfinished")
        path.parent.mkdir(exist_ok=True)
        beside.write_text(json.dumps({"rank": self.rank, "host": self.host, "counts": counts}), encoding="utf-8")
        os.replace(beside, path)


def read_step_times(path: Path) -> StepTimes | None:
    """What a rank wrote; None where it wrote nothing that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        found = json.loads(path.read_text(encoding="utf-8"))
        parts = {name: Times(Counter(dict(found["counts"].get(name, ())))) for name in PARTS_OF_STEP}
        return StepTimes(int(found["rank"]), str(found["host"]), parts)
    return None


def times_of_ranks(folder: Path, world: int) -> list[StepTimes]:
    """Of all ranks of the run in ``folder`` that have done a step, in order."""
    files = RunPaths(folder)
    found = [read_step_times(files.steps_of(rank)) for rank in range(world)]
    return [times for times in found if times is not None and times.steps]


def together(times: Iterable[StepTimes]) -> StepTimes:
    """All steps of several ranks."""
    total = StepTimes()
    for one in times:
        for name, of_part in one.parts.items():
            total.parts[name].counts.update(of_part.counts)
    return total


def slowest(times: list[StepTimes], shown: int) -> list[StepTimes]:
    """At most ``shown`` of them, those with the longest p95 of a step, in order of rank."""
    worst = sorted(times, key=lambda one: -one.parts[WHOLE].quantile(QUANTILES["p95"]))[:shown]
    return sorted(worst, key=lambda one: one.rank)
