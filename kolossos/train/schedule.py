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
        decay_steps = max(1, round(schedule.decay_fraction * schedule.steps))
        remaining = min(1.0, max(0, schedule.steps - step) / decay_steps)
    return schedule.final_fraction + (1 - schedule.final_fraction) * remaining
