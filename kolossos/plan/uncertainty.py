"""How far a predicted step may be off. The one place where the interval of a plan comes from."""

from kolossos.plan.job import Job

ASSUMED_LOW, ASSUMED_HIGH = 0.9, 1.1
"""Assumed, not measured: to be replaced by quantiles of the planner's own errors on published runs."""


def step_bounds(job: Job, step_time_s: float) -> tuple[float, float]:
    """Seconds between which the true step lies with 90 % confidence."""
    return step_time_s * ASSUMED_LOW, step_time_s * ASSUMED_HIGH


def bounds_are_measured() -> bool:
    """Whether the interval comes from measured errors, for whoever prints it."""
    return False
