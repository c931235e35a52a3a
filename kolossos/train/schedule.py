"""The learning rate as a pure function of the step."""

import math

from kolossos.specs.run import ScheduleSpec


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


def _decay_steps(schedule: ScheduleSpec) -> int:
    return max(1, round(schedule.decay_fraction * schedule.steps))
