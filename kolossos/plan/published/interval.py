"""How far a prediction may be off: quantiles of the planner's own errors on published runs it was not fitted to.

``errors.toml`` is written by ``benchmarks/fit_plan.py``. A generation with few measurements borrows from all others;
software that nobody measured gets the errors of whole repositories left out.
"""

import math
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
from pydantic import Field

from kolossos.specs.strict import Spec, read_toml

ERRORS = Path(__file__).parent / "errors.toml"
ENOUGH = 30
"""Rows at which a generation's own quantiles count as much as everybody's."""


class ErrorQuantiles(Spec):
    """5 % and 95 % quantiles of log(predicted / measured)."""

    rows: int
    low: float = Field(le=0)
    high: float = Field(ge=0)


class Errors(Spec):
    """All of them."""

    made: str
    all: ErrorQuantiles
    elsewhere: ErrorQuantiles
    memory: ErrorQuantiles
    generations: dict[str, ErrorQuantiles]


@cache
def load_errors(path: Path = ERRORS) -> Errors:
    """Read the quantiles (once)."""
    return Errors.parse(read_toml(path), str(path))


def step_interval(step_time_s: float, generation: str | None, narrowing: float = 1.0) -> tuple[float, float]:
    """Seconds between which the true step lies with 90 % confidence; None: software that nobody measured.

    narrowing: how much smaller the error is where steps of the same machine were measured.
    """
    errors = load_errors()
    if generation is None or generation not in errors.generations:
        return _bounds(step_time_s, narrowing * errors.elsewhere.low, narrowing * errors.elsewhere.high)
    own = errors.generations[generation]
    trust = own.rows / (own.rows + ENOUGH)
    low = trust * own.low + (1 - trust) * errors.all.low
    high = trust * own.high + (1 - trust) * errors.all.high
    return _bounds(step_time_s, narrowing * low, narrowing * high)


def memory_interval(memory_bytes: float) -> tuple[float, float]:
    """Bytes between which the true peak lies with 90 % confidence."""
    errors = load_errors().memory
    return _bounds(memory_bytes, errors.low, errors.high)


def probability_within(memory_bytes: float, limit_bytes: float) -> float:
    """That the true peak is at most ``limit_bytes``: the error's logarithm as normal, each side with its own width."""
    errors, room = load_errors().memory, math.log(limit_bytes / memory_bytes)
    width = -errors.low if room >= 0 else errors.high
    return NormalDist().cdf(NormalDist().inv_cdf(0.95) * room / max(width, 1e-9))


def _bounds(predicted: float, low: float, high: float) -> tuple[float, float]:
    return float(predicted * np.exp(-high)), float(predicted * np.exp(-low))
