"""The meshes of a layout: the same ranks in the same order, cut into axes in three ways."""

from dataclasses import dataclass

import torch.distributed as dist
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from kolossos.parallel.coordinates import (
    coordinates_of,
    degrees,
    degrees_of_experts,
    degrees_of_vocabulary,
    degrees_of_weights,
    require_world,
)
from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class Meshes:
    """What each mesh is for.

    ranks: whose tokens (pp, dp_replicate, dp_shard, cp, tp). weights: who holds what of all but experts (pp,
    dp_replicate, shard, tp). experts: the same of experts (pp, dp_replicate, shard, ep, etp). vocabulary: who holds
    what is outside of layers, which tp does not cut: its ranks share it as those of dp_shard do. stage: the ranks that
    have the same layers and other tokens.
    """

    layout: Layout
    rank: int
    ranks: DeviceMesh
    weights: DeviceMesh
    experts: DeviceMesh
    vocabulary: DeviceMesh
    stage: ProcessGroup

    @property
    def place(self) -> dict[str, int]:
        """This rank's coordinates."""
        return coordinates_of(self.layout, self.rank)

    @property
    def part(self) -> tuple[int, ...]:
        """Which part of model and optimizer is here: the same, to the bit, on as many ranks as there are replicas."""
        return tuple(place for axis, place in self.place.items() if axis != "dp_replicate")

    @property
    def replicas(self) -> int:
        """How many ranks hold a part."""
        return self.layout.dp_replicate

    @property
    def axes(self) -> dict[str, str]:
        """From the name of a process group to the axis of the layout that it is a line of.

        Ranks that share a weight are ``dp_shard``, whatever other axes lent theirs; ``world`` are all ranks, ``stage``
        those with the same layers, where they are not a line of an axis.
        """
        world = dist.group.WORLD
        assert world is not None
        axes: dict[str, str] = {world.group_name: "world", self.stage.group_name: "stage"}
        for mesh in (self.ranks, self.weights, self.experts, self.vocabulary):
            assert mesh.mesh_dim_names is not None
            for axis in mesh.mesh_dim_names:  # a line of all ranks is the world's own group
                if mesh[axis].size() > 1:
                    axes[mesh[axis].get_group().group_name] = "dp_shard" if axis == "shard" else axis
        return axes


def build_mesh(layout: Layout, device_type: str) -> Meshes | None:
    """The meshes of all ranks, or None for a layout of one; the process group must be there.

    Raises:
        InputError: the number of processes is not the layout's.
    """
    require_world(layout, dist.get_world_size() if dist.is_initialized() else 1)
    return None if layout.world_size == 1 else all_meshes(layout, device_type)


def all_meshes(layout: Layout, device_type: str) -> Meshes:
    """The meshes, of one rank too, which nothing but a measurement of the wrappers needs."""
    _forget_ended_groups()
    cuts = [degrees(layout), degrees_of_weights(layout), degrees_of_experts(layout), degrees_of_vocabulary(layout)]
    ranks, weights, experts, vocabulary = (
        init_device_mesh(device_type, tuple(sizes.values()), mesh_dim_names=tuple(sizes)) for sizes in cuts
    )
    stage = vocabulary["dp_replicate", "shard"]._flatten("stage").get_group()
    return Meshes(layout, dist.get_rank(), ranks, weights, experts, vocabulary, stage)


def _forget_ended_groups() -> None:
    """Have torch plan anew what to do with tensors on a mesh.

    It keeps its plans by the shape of a mesh, and in them the first mesh of that shape with its groups: in a process
    that trains a second time, they have ended.
    """
    from torch.distributed.tensor import _redistribute, debug

    for kept, forget in (
        (getattr(_redistribute, "_gen_transform_infos", None), "cache_clear"),
        (getattr(_redistribute, "_planner_cache", None), "clear"),
        (debug, "_clear_sharding_prop_cache"),
    ):
        getattr(kept, forget, lambda: None)()
