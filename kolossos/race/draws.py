"""Random draws of the compute race: one stream for each assumption, so that changing one leaves the others as drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kolossos.race.assumptions import RaceAssumptions
from kolossos.streams import named_generator

Array = NDArray[np.floating[Any]]
Z95 = 1.6448536269514722  # 95 % point of the standard normal


class Draws:
    """Draws of named assumptions, ``replicates`` at a time; the same seed gives the same draws."""

    def __init__(self, assumptions: RaceAssumptions, seed: int, replicates: int):
        self.assumptions, self.seed, self.replicates = assumptions, seed, replicates

    def stream(self, name: str) -> np.random.Generator:
        """The stream of ``name``: independent of all others, fixed by the seed."""
        return named_generator(self.seed, name)

    def draw(self, name: str, *shape: int) -> Array:
        """Values of an assumption, [replicates, *shape]."""
        normal = self.stream(name).standard_normal((self.replicates, *shape))
        return spread(normal, self.assumptions.assumptions[name].points())

    def draw_years(self, name: str, years: int, persistence: float = 0.7, together: float = 0.6) -> Array:
        """Values of an assumption for each year, [replicates, years].

        ``persistence`` is the correlation of one year with another of the same replicate: good years come together.
        ``together`` is the correlation of the moods of two such assumptions: orders pull capacity after them.
        """
        stream = self.stream(name)
        shared = self.stream("mood").standard_normal((self.replicates, 1))
        mood = np.sqrt(together) * shared + np.sqrt(1 - together) * stream.standard_normal((self.replicates, 1))
        own = stream.standard_normal((self.replicates, years))
        normal = np.sqrt(persistence) * mood + np.sqrt(1 - persistence) * own
        points = self.assumptions.assumptions[name].points
        return np.stack([spread(normal[:, year], points(year)) for year in range(years)], axis=1)


def spread(normal: Array, points: Sequence[float]) -> Array:
    """A two-piece lognormal with 5, 50 and 95 % ``points``, at standard normal values."""
    low, median, high = points
    scale = np.where(normal < 0, np.log(median / low), np.log(high / median)) / Z95
    return median * np.exp(normal * scale)
