"""How far a planned step may be off. The one place where the intervals of a plan come from."""

from kolossos.plan.interval import memory_interval, step_interval
from kolossos.plan.job import Job

MEASURED = "the planner's own errors on published runs it was not fitted to"


def step_bounds(job: Job, step_time_s: float) -> tuple[float, float]:
    """Seconds between which the true step lies with 90 % confidence."""
    return step_interval(step_time_s, job.software)


def memory_bounds(job: Job, memory_bytes: float) -> tuple[float, float]:
    """Bytes between which the true need lies with 90 % confidence (from fewer sources, all of them in the fit)."""
    return memory_interval(memory_bytes)


def origin(job: Job) -> str:
    """Where the intervals come from, for whoever prints them."""
    return MEASURED
