"""The part of a run that this rank is in, since when, and how long each part took so far. No torch, no disk."""

import time
from dataclasses import dataclass
from typing import Literal

from kolossos.runs.step_times import StepTimes

Part = Literal[
    "set-up",
    "data",
    "forward and backward",
    "sums",
    "exchange",
    "replay",
    "update",
    "checkpoint",
    "validation",
    "writing",
]

OF_A_STEP: tuple[Part, ...] = ("data", "forward and backward", "sums", "exchange", "replay", "update")
TIMED_STEPS = 3  # before these, a step may compile


@dataclass(frozen=True)
class Place:
    """Where a rank is: ``step`` counted from 1 (0: before the first), ``since_s`` by this process's monotonic clock."""

    part: Part
    step: int
    since_s: float


class Board:
    """Told by the training thread where it is; may be read by another thread at any time."""

    def __init__(self) -> None:
        self.place = Place("set-up", 0, time.monotonic())
        self.longest_step_s: float | None = None  # known after TIMED_STEPS
        self._spent_s: dict[str, float] = {}
        self._steps = 0
        self._step_began_s = 0.0
        self._of_step: dict[str, float] = {}
        self.times = StepTimes()

    def at(self, part: Part, step: int | None = None) -> None:
        """From now on ``part``, of ``step`` (None: of the one that is under way)."""
        before, now = self.place, time.monotonic()
        seconds = now - before.since_s
        self._spent_s[before.part] = self._spent_s.get(before.part, 0.0) + seconds
        self._of_step[before.part] = self._of_step.get(before.part, 0.0) + seconds
        if before.part == "checkpoint" and part != "checkpoint":
            self.times.add_checkpoint(self._of_step.pop("checkpoint"))
        self.place = Place(part, before.step if step is None else step, now)

    def seconds(self) -> float:
        """How long this rank has been where it is."""
        return time.monotonic() - self.place.since_s

    def begin_step(self, step: int) -> None:
        """``step``, from 1, begins."""
        self.at("data", step)
        self._step_began_s = self.place.since_s
        self._of_step = {}

    def end_step(self) -> None:
        """The step is computed; what comes is writing it down."""
        self.at("writing")
        self._steps += 1
        self.times.add_step(self.place.since_s - self._step_began_s, self._of_step)
        if self._steps > TIMED_STEPS:
            self.longest_step_s = max(self.longest_step_s or 0.0, self.place.since_s - self._step_began_s)

    def spent_in(self, part: Part) -> float:
        """Seconds in ``part`` since `take`."""
        return self._spent_s.get(part, 0.0)

    def take(self) -> dict[str, float]:
        """Seconds spent in each part since this was last asked, the part under way up to now."""
        self.at(self.place.part)
        spent, self._spent_s = self._spent_s, {}
        return spent
