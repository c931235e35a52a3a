"""What a layout costs: one layout's price, a chunk's prices, and the outcome of a search."""

from dataclasses import dataclass, fields

import numpy as np

from kolossos.plan.columns import Column, LayoutColumns
from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class Choice:
    """One layout with its price: seconds a step, joules and dollars a token, bytes a GPU."""

    layout: Layout
    step_time_s: float
    memory_bytes: float
    seconds_per_token: float
    joules_per_token: float
    usd_per_token: float

    @property
    def n_gpus(self) -> int:
        """GPUs that work."""
        return self.layout.world_size


@dataclass(frozen=True)
class Found:
    """The outcome of a search; ``best`` is None where nothing fits, and then ``leanest`` missed by least."""

    best: Choice | None
    by_axis: dict[tuple[str, int], Choice]
    front: list[Choice]
    leanest: Choice | None
    priced: int
    fitting: int
    seconds: float

    @property
    def layouts_per_s(self) -> float:
        """Layouts priced (step time and memory) a second, enumeration and selection included."""
        return self.priced / self.seconds


Row = tuple[float, ...]
_LAYOUT = tuple(f.name for f in fields(LayoutColumns))
_PRICES = ("step", "memory", "seconds_per_token", "joules_per_token", "usd_per_token")


@dataclass(frozen=True)
class ChunkPrices:
    """A chunk with its prices, of shape (recompute, precision, row)."""

    layouts: LayoutColumns
    step: Column
    memory: Column
    seconds_per_token: Column
    joules_per_token: Column
    usd_per_token: Column

    def row(self, index: tuple[int, ...]) -> Row:
        """One layout's numbers; cheap, because a search keeps thousands before it returns a dozen."""
        columns = [getattr(self.layouts, name) for name in _LAYOUT]
        return tuple(_at(column, index) for column in (*columns, *(getattr(self, name) for name in _PRICES)))


def _at(column: Column, index: tuple[int, ...]) -> float:
    place = index[len(index) - column.ndim :]
    return float(column[tuple(i if n > 1 else 0 for i, n in zip(place, column.shape, strict=True))])


def choice(row: Row) -> Choice:
    """A row of numbers as a Choice."""
    layout = LayoutColumns(**{name: np.float64(value) for name, value in zip(_LAYOUT, row, strict=False)})  # pyright: ignore
    return Choice(layout.layout(0), *row[len(_LAYOUT) :])
