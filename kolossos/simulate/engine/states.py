"""What the job does at each moment of one replicate, for plots."""

from dataclasses import dataclass

import numpy as np

from kolossos.simulate.engine.play import Played
from kolossos.simulate.engine.stops import END, GROWTH, MAINTENANCE
from kolossos.simulate.piecewise import Array

STATES = (
    "training, kept",
    "training, lost",
    "detection",
    "waiting for spares, repair or people",
    "restart",
    "maintenance or growth",
)
KEPT, LOST, DETECTION, WAITING, RESTART, PLANNED = range(6)


@dataclass(frozen=True)
class Timeline:
    """States of one replicate: ``state[i]`` from ``start_s[i]`` on."""

    start_s: Array
    state: Array

    def at(self, seconds: Array) -> Array:
        """State at each second of the run."""
        return self.state[np.maximum(np.searchsorted(self.start_s, seconds, side="right") - 1, 0)]


def timeline_of(played: Played, replicate: int = 0) -> Timeline:
    """The states of one replicate of a chunk, in order."""
    axis, stops, segments = played.axis, played.stops, played.segments
    origin = axis.starts[replicate]
    until = np.minimum(np.maximum.accumulate(stops.ready)[:-1], stops.at[1:])
    mine = (axis.replicate(stops.at[:-1]) == replicate) & (stops.kind[:-1] != END) & (until > stops.at[:-1])
    at, until, kind = stops.at[:-1][mine], until[mine], stops.kind[:-1][mine]
    noticed = np.minimum(stops.noticed[:-1][mine], until)
    waited = np.clip(stops.waited[:-1][mine], noticed, until)
    planned = (kind == MAINTENANCE) | (kind == GROWTH)
    ours = segments.replicate == replicate
    start, kept, end = segments.start[ours], segments.kept_until[ours], segments.end[ours]
    undone = segments.undone.between(start, kept) > 0.5 * (kept - start)
    starts = [at, noticed, waited, start, kept]
    ends = [noticed, waited, until, kept, end]
    states = [
        np.where(planned, PLANNED, DETECTION),
        np.where(planned, PLANNED, WAITING),
        np.where(planned, PLANNED, RESTART),
        np.where(undone, LOST, KEPT),
        np.full(len(kept), LOST),
    ]
    first, last, state = np.concatenate(starts), np.concatenate(ends), np.concatenate(states)
    real = last > first
    order = np.argsort(first[real], kind="stable")
    return Timeline(first[real][order] - origin, state[real][order])
