"""How far a prediction may be off. The one place where the intervals of a plan come from."""

from kolossos.plan.job import Job

ASSUMED_LOW, ASSUMED_HIGH = 0.9, 1.1
"""Assumed, not measured: to be replaced by quantiles of the planner's own errors on published runs."""
ASSUMED = "assumed"
MEASURED = "the planner's own errors on published runs it was not fitted to"


def step_bounds(job: Job, step_time_s: float) -> tuple[float, float]:
    """Seconds between which the true step lies with 90 % confidence."""
    return step_time_s * ASSUMED_LOW, step_time_s * ASSUMED_HIGH


def memory_bounds(job: Job, memory_bytes: float) -> tuple[float, float]:
    """Bytes between which the true need lies with 90 % confidence."""
    return memory_bytes * ASSUMED_LOW, memory_bytes * ASSUMED_HIGH


def origin(job: Job) -> str:
    """Where the intervals come from, for whoever prints them."""
    return ASSUMED
