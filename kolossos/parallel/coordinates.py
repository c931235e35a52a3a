"""Where a rank stands in a layout. No torch."""

from kolossos.specs.layout import Layout

AXES = ("pp", "dp_replicate", "dp_shard", "cp", "tp")
"""Mesh axes, outermost first: the ranks of tp are neighbours. Expert parallelism re-uses ranks of the others."""


def degrees(layout: Layout) -> dict[str, int]:
    """Ranks along each axis."""
    return {axis: getattr(layout, axis) for axis in AXES}


def coordinates_of(layout: Layout, rank: int) -> dict[str, int]:
    """The place of ``rank`` (from 0) on every axis."""
    if not 0 <= rank < layout.world_size:
        raise ValueError(f"rank {rank} is not among the {layout.world_size} of the layout")
    places: dict[str, int] = {}
    for axis, degree in reversed(degrees(layout).items()):
        rank, places[axis] = divmod(rank, degree)
    return {axis: places[axis] for axis in AXES}


def data_rank(layout: Layout, coordinates: dict[str, int]) -> int:
    """Which of the ``layout.data_parallel`` shares of a batch belongs to these coordinates."""
    return coordinates["dp_replicate"] * layout.dp_shard + coordinates["dp_shard"]
