"""The Pareto front of seconds a token, GPUs, dollars a token and joules a token.

On cards of one kind dollars are GPUs times seconds, so that a layout no worse in GPUs, seconds and joules is no worse
in dollars: three numbers decide.
"""

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.search.prices import ChunkPrices, Row


def undominated(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows of ``points`` (smaller is better) that no other row beats or equals in every column; ties keep the first."""
    order = np.lexsort(points.T[::-1])
    kept: list[int] = []
    front = np.empty((0, points.shape[1]))
    for row in order:
        if not (front <= points[row]).all(axis=1).any():
            kept.append(int(row))
            front = np.vstack([front, points[row]])
    return np.array(kept, dtype=np.intp)


class Front:
    """The front of everything seen so far."""

    def __init__(self) -> None:
        self.points = np.empty((0, 3))
        self.kept: list[Row] = []

    def look(self, priced: ChunkPrices, fits: NDArray[np.bool_]) -> None:
        """Add from one chunk what nothing before is better than.

        Of the front before, what each row has to beat is known by its number of GPUs: the fastest with no more, and
        the thriftiest; a layout slower than the one and hungrier than it is out, and that sieves nearly all.
        """
        shape = priced.step.shape
        world = np.broadcast_to(priced.layouts.world, shape)
        seconds, joules = priced.seconds_per_token, priced.joules_per_token
        fastest, hunger = self._fastest(np.broadcast_to(priced.layouts.world, shape[-1:]))
        rows = np.flatnonzero(fits & ((seconds < fastest) | (joules < hunger)))
        if not rows.size:
            return
        points = np.stack([seconds.ravel()[rows], world.ravel()[rows], joules.ravel()[rows]], axis=1)
        some = _sieve(points)
        some = some[undominated(points[some])]
        found = [priced.row(tuple(int(i) for i in np.unravel_index(rows[place], shape))) for place in some]
        self._merge(points[some], found)

    def _fastest(self, world: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For each row: seconds and joules of the fastest layout of the front with no more GPUs."""
        if not self.kept:
            return np.full(world.shape, np.inf), np.full(world.shape, np.inf)
        by_gpus = self.points[np.lexsort((self.points[:, 0], self.points[:, 1]))]
        best = np.minimum.accumulate(by_gpus[:, 0])
        first = np.array([int(np.flatnonzero(by_gpus[: i + 1, 0] == best[i])[0]) for i in range(len(best))])
        place = np.searchsorted(by_gpus[:, 1], world, side="right") - 1
        known = place >= 0
        place = np.maximum(place, 0)
        return np.where(known, best[place], np.inf), np.where(known, by_gpus[first[place], 2], np.inf)

    def _merge(self, points: NDArray[np.float64], found: list[Row]) -> None:
        everything, both = np.vstack([self.points, points]), [*self.kept, *found]
        chosen = np.sort(undominated(everything))
        self.points, self.kept = everything[chosen], [both[row] for row in chosen]

    def rows(self) -> list[Row]:
        """The front, fastest first."""
        return [self.kept[row] for row in np.argsort(self.points[:, 0], kind="stable")]


def _sieve(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows worth a full comparison: for each number of GPUs, those on its own front of seconds and joules."""
    order = np.lexsort((points[:, 2], points[:, 0], points[:, 1]))
    sorted_points = points[order]
    starts = np.flatnonzero(np.r_[True, np.diff(sorted_points[:, 1]) != 0])
    kept = []
    for start, end in zip(starts, np.r_[starts[1:], len(order)], strict=True):
        joules = sorted_points[start:end, 2]
        lowest = np.minimum.accumulate(np.r_[np.inf, joules[:-1]])
        kept.append(order[start:end][joules < lowest])
    return np.concatenate(kept)
