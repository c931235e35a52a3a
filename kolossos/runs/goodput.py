"""Where the time of a run went, over all its attempts: events whose parts add up to the wall time. No torch.

``time.jsonl`` in the run folder is only ever appended to: metrics.jsonl forgets the steps that are done again, and
these are just what was lost. Every record has the ``time`` (Unix seconds) at which its stretch of work ends:

    {"kind": "begin", "time": ..., "step": the step it goes on from, "before_s": how long it took to get there}
    {"kind": "spent", "time": ..., "step": steps done, "parts": {part: seconds since the record before}}

What passes between two records of an attempt and is in none of its parts is ``other``; what passes between the last
record of an attempt and the "begin" of the next is ``restart``; and the stretches of an attempt whose steps a later one
does again are ``lost``, as a whole.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from kolossos.files import AppendFile

PARTS = {
    "set-up": "set_up",
    "data": "data_wait",
    "forward and backward": "compute",
    "update": "compute",
    "sums": "exposed_communication",
    "exchange": "exposed_communication",
    "replay": "replay",
    "checkpoint": "checkpoint",
    "validation": "validation",
    "writing": "other",
}
"""From the part of a run that a rank was in to the part of the wall time it counts as."""

NAMES = (*dict.fromkeys(PARTS.values()), "restart", "lost")


class TimeFile:
    """Appends to time.jsonl, which the attempts before have begun."""

    def __init__(self, path: Path):
        _end_cut_off_line(path)
        self._file = AppendFile(path)

    def begin(self, time: float, step: int, before_s: float) -> None:
        """An attempt begins at ``time`` with ``step`` steps done; it was started ``before_s`` earlier."""
        self._append({"kind": "begin", "time": time, "step": step, "before_s": before_s})

    def spent(self, time: float, step: int, parts: Mapping[str, float]) -> None:
        """Seconds by part (the names on the left of PARTS) since the record before."""
        self._append({"kind": "spent", "time": time, "step": step, "parts": dict(parts)})

    def close(self) -> None:
        self._file.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        self._file.append(f"{json.dumps(record, allow_nan=False)}\n".encode())


@dataclass(frozen=True)
class Goodput:
    """Seconds of wall time by part (NAMES), which add up to ``wall_s``; attempts, and steps that were done again."""

    wall_s: float
    parts: dict[str, float]
    attempts: int
    steps_redone: int

    @property
    def share(self) -> float:
        """Of the wall time that computed what was kept."""
        return self.parts["compute"] / self.wall_s if self.wall_s else 0.0

    def as_values(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "goodput": self.share,
            "wall_s": self.wall_s,
            "parts_s": self.parts,
            "attempts": self.attempts,
            "steps_redone": self.steps_redone,
        }


def read_goodput(path: Path) -> Goodput | None:
    """The goodput of the run whose time.jsonl this is; None where nothing was written yet."""
    attempts = _attempts(path)
    if not attempts:
        return None
    parts: dict[str, list[float]] = {name: [] for name in NAMES}
    redone = 0
    for number, records in enumerate(attempts):
        begin = records[0]
        goes_on = min((later[0]["step"] for later in attempts[number + 1 :]), default=math.inf)
        if number:
            parts["restart"].append(begin["time"] - attempts[number - 1][-1]["time"])
        else:
            parts["set_up"].append(begin["before_s"])
        redone += max(0, records[-1]["step"] - int(min(goes_on, records[-1]["step"])))
        for before, record in pairwise(records):
            seconds = record["time"] - before["time"]
            if record["step"] > goes_on:
                parts["lost"].append(seconds)
                continue
            for name, spent in record["parts"].items():
                parts[PARTS[name]].append(spent)
            parts["other"].append(seconds - math.fsum(record["parts"].values()))
    wall = attempts[-1][-1]["time"] - attempts[0][0]["time"] + attempts[0][0]["before_s"]
    return Goodput(wall, {name: math.fsum(seconds) for name, seconds in parts.items()}, len(attempts), redone)


def _attempts(path: Path) -> list[list[dict[str, Any]]]:
    """The records of each attempt, the first of each its beginning; a line that a crash cut off is left out."""
    attempts: list[list[dict[str, Any]]] = []
    if not path.exists():
        return attempts
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if record["kind"] == "begin":
            attempts.append([])
        if attempts:
            attempts[-1].append(record)
    return attempts


def _end_cut_off_line(path: Path) -> None:
    """What a crash cut off becomes a line of its own, which no reader takes."""
    if path.exists() and (text := path.read_bytes()) and not text.endswith(b"\n"):
        with open(path, "ab") as file:
            file.write(b"\n")
