"""Where a rank stands in a layout. No torch."""

from kolossos.errors import InputError
from kolossos.specs.layout import Layout

AXES = ("pp", "dp_replicate", "dp_shard", "cp", "tp")
"""Mesh axes, outermost first: the ranks of tp are neighbours. Expert parallelism re-uses ranks of the others."""


def degrees(layout: Layout) -> dict[str, int]:
    """Ranks along each axis."""
    return {axis: getattr(layout, axis) for axis in AXES}


def degrees_of_weights(layout: Layout) -> dict[str, int]:
    """The same ranks as holders of weights: those of cp have other tokens and share weights as those of dp_shard."""
    return {
        "pp": layout.pp,
        "dp_replicate": layout.dp_replicate,
        "shard": layout.dp_shard * layout.cp,
        "tp": layout.tp,
    }


def degrees_of_experts(layout: Layout) -> dict[str, int]:
    """The same ranks as holders of experts: ep groups of etp neighbours, and ``shard`` that hold equal experts."""
    shard = layout.dp_shard * layout.cp * layout.tp // (layout.ep * layout.etp)
    return {"pp": layout.pp, "dp_replicate": layout.dp_replicate, "shard": shard, "ep": layout.ep, "etp": layout.etp}


def degrees_of_vocabulary(layout: Layout) -> dict[str, int]:
    """The same ranks as holders of embedding, last norm and output: whole on every rank of tp, so tp shares them."""
    shard = layout.dp_shard * layout.cp * layout.tp
    return {"pp": layout.pp, "dp_replicate": layout.dp_replicate, "shard": shard}


def layers_of_stages(n_layers: int, stages: int) -> list[tuple[int, ...]]:
    """Which layers each stage has, as equal as it goes; what is missing is missing at the ends, where the embedding and
    the output make up for it (as the planner counts)."""
    sizes = [-(-n_layers // stages)] * stages
    missing = sum(sizes) - n_layers
    for places, gone in ((range(stages), missing // 2), (reversed(range(stages)), -(-missing // 2))):
        for place in places:
            taken = min(gone, sizes[place])
            sizes[place] -= taken
            gone -= taken
    ends = [sum(sizes[: place + 1]) for place in range(stages)]
    return [tuple(range(end - size, end)) for end, size in zip(ends, sizes, strict=True)]


def require_world(layout: Layout, processes: int) -> None:
    """InputError if ``processes`` is not the number of ranks of ``layout``."""
    if layout.world_size != processes:
        asked = ", ".join(f"{axis} = {degree}" for axis, degree in degrees(layout).items() if degree > 1)
        here = "this is one process" if processes == 1 else f"these are {processes} processes"
        raise InputError(
            f"the layout needs {layout.world_size} ranks and {here}; "
            + (f"set to 1 what is more: {asked}" if processes == 1 else f"the degrees are {asked or 'all 1'}")
        )


def on_ranks(layout: Layout, ranks: int) -> Layout:
    """``layout`` on so many ranks, by more (or fewer) replicas with as many sequences each.

    Raises:
        InputError: not a multiple of the ranks of a replica.
    """
    replica = layout.world_size // layout.dp_replicate
    if ranks <= 0 or ranks % replica:
        near = max(ranks // replica, 1) * replica
        raise InputError(
            f"gpus = {ranks}: a replica of this layout has {replica} ranks; use a multiple of it, such as {near} or "
            f"{near + replica}"
        )
    replicas = ranks // replica
    batch = layout.global_batch_size // layout.dp_replicate * replicas
    return layout.model_copy(update={"dp_replicate": replicas, "global_batch_size": batch})


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
