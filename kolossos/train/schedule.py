"""The learning rate as a pure function of the step, and the number of steps that fits into a time."""

import math
from collections import deque
from statistics import median

from kolossos.specs.run import ScheduleSpec

RECENT_STEPS = 15
REFITS = 40  # at most so many in one run, for each writes the run file


def lr_factor(schedule: ScheduleSpec, step: int) -> float:
    """Share of the peak learning rate at ``step`` (from 0). The last step still learns; the one after it would not."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if schedule.kind == "cosine":
        progress = (step - schedule.warmup_steps) / max(1, schedule.steps - schedule.warmup_steps)
        remaining = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    else:
        remaining = min(1.0, max(0, schedule.steps - step) / _decay_steps(schedule))
    return schedule.final_fraction + (1 - schedule.final_fraction) * remaining


def decay_start(schedule: ScheduleSpec) -> int:
    """The last step (from 0) of a wsd schedule before its rate falls."""
    return schedule.steps - _decay_steps(schedule)


def same_rate_until(a: ScheduleSpec, b: ScheduleSpec) -> int:
    """How many steps from the first on have the same rate under both."""
    common = min(a.steps, b.steps)
    return next((step for step in range(common) if lr_factor(a, step) != lr_factor(b, step)), common)


class StepBudget:
    """Fits the number of steps of a wsd schedule to the seconds that a run may take, until its rate begins to fall.

    The first steps tell little of the rest: another program starts or ends, a processor gets warm. The steps that are
    done have the same rate under every number that `refit` gives, so a run that goes on from any of them is exact.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._next = seconds / REFITS
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)

    def refit(self, schedule: ScheduleSpec, done: int, *, step_seconds: float, spent: float) -> int:
        """The number of steps to go for, ``spent`` seconds after the begin: the last of ``done`` took so long."""
        self._recent.append(step_seconds)
        if schedule.kind != "wsd" or spent < self._next or done - 1 > decay_start(schedule):
            return schedule.steps
        self._next = spent + self._seconds / REFITS
        steps = done + max(0, round((self._seconds - spent) / median(self._recent)))
        while decay_start(schedule.model_copy(update={"steps": steps})) < done - 1:  # it begins now at the earliest
            steps += 1
        return steps


def _decay_steps(schedule: ScheduleSpec) -> int:
    return max(1, round(schedule.decay_fraction * schedule.steps))
