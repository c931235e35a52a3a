"""The DeviceMesh of a layout: one axis of ranks for each degree."""

import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from kolossos.errors import InputError
from kolossos.parallel.coordinates import degrees
from kolossos.specs.layout import Layout

DATA = ("dp_replicate", "dp_shard")
"""The axes whose ranks see different sequences."""


def build_mesh(layout: Layout, device_type: str) -> DeviceMesh | None:
    """The mesh of all ranks, or None for a layout of one; the process group must be there.

    Raises:
        InputError: the number of processes is not the layout's.
    """
    there = dist.get_world_size() if dist.is_initialized() else 1
    if layout.world_size != there:
        asked = ", ".join(f"{axis} = {degree}" for axis, degree in degrees(layout).items() if degree > 1)
        here = "this is one process" if there == 1 else f"these are {there} processes"
        raise InputError(
            f"the layout needs {layout.world_size} ranks and {here}; "
            + (f"set to 1 what is more: {asked}" if there == 1 else f"the degrees are {asked or 'all 1'}")
        )
    if layout.world_size == 1:
        return None
    sizes = degrees(layout)
    return init_device_mesh(device_type, tuple(sizes.values()), mesh_dim_names=tuple(sizes))
