"""Step functions of time, over many replicates at once.

All replicates lie on one axis: replicate r at second t is the key r (horizon + 1) + t, so that one sort, one running
sum and one search serve them all. Every function here is zero in the second between two replicates.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Axis:
    """The common axis of ``n_replicates`` runs of ``horizon_s`` seconds."""

    n_replicates: int
    horizon_s: float

    @property
    def stride(self) -> float:
        """Distance between the starts of two replicates."""
        return self.horizon_s + 1.0

    def replicate(self, keys: Array) -> Array:
        """Which replicate each key belongs to: that with the last start not after it."""
        return np.maximum(np.searchsorted(self.starts, keys, side="right") - 1, 0)

    def key(self, replicate: Array, time_s: Array) -> Array:
        """Place on the axis; times are clipped into the run."""
        return replicate * self.stride + np.clip(time_s, 0.0, self.horizon_s)

    @property
    def starts(self) -> Array:
        """Key of second 0 of each replicate."""
        return np.arange(self.n_replicates) * self.stride

    @property
    def ends(self) -> Array:
        """Key of the last moment of each replicate."""
        return self.starts + self.horizon_s


class StepFunction:
    """Piecewise constant: ``values[i]`` from ``keys[i]`` until the next key; zero before the first."""

    def __init__(self, keys: Array, values: Array) -> None:
        self.keys = keys
        self.values = values
        steps = np.diff(keys) * values[:-1] if len(keys) else keys
        self._integral = np.concatenate(([0.0], np.cumsum(steps))) if len(keys) else np.zeros(1)

    @classmethod
    def from_intervals(cls, starts: Array, ends: Array, weights: Array | float = 1.0) -> "StepFunction":
        """The sum of ``weights`` over the half-open intervals that are open at a time."""
        weights = np.broadcast_to(weights, starts.shape)
        keys = np.concatenate((starts, ends))
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], np.cumsum(np.concatenate((weights, -weights))[order]))

    def at(self, keys: Array) -> Array:
        """Value at (just after) each key."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.searchsorted(self.keys, keys, side="right") - 1
        return np.where(place >= 0, self.values[np.maximum(place, 0)], 0.0)

    def until(self, keys: Array) -> Array:
        """Integral from minus infinity to each key."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.maximum(np.searchsorted(self.keys, keys, side="right") - 1, 0)
        beyond = np.maximum(keys - self.keys[place], 0.0)
        return self._integral[place] + self.values[place] * beyond

    def between(self, starts: Array, ends: Array) -> Array:
        """Integral over each [start, end]."""
        return self.until(ends) - self.until(starts)

    def covered(self) -> "StepFunction":
        """1 where this function is positive, else 0."""
        return StepFunction(self.keys, (self.values > 0.5).astype(float))


def union(starts: Array, ends: Array) -> tuple[Array, Array]:
    """The same set of times as disjoint intervals, sorted."""
    level = StepFunction.from_intervals(starts, ends).covered()
    rising = np.diff(level.values, prepend=0.0)
    return level.keys[rising > 0], level.keys[rising < 0]


def largest(functions: list[StepFunction], levels: list[float]) -> StepFunction:
    """At each time the largest of ``levels`` whose function is positive there, 0 where none is."""
    keys = np.unique(np.concatenate([f.keys for f in functions])) if functions else np.empty(0)
    values = np.zeros(len(keys))
    for function, level in zip(functions, levels, strict=True):
        values = np.maximum(values, level * (function.at(keys) > 0.5))
    return StepFunction(keys, values)
