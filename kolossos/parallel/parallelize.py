"""A layout applied to a model: one line an axis, in the order in which the axes go on."""

from torch.distributed.device_mesh import DeviceMesh

from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.experts.routing import Router
from kolossos.parallel.fsdp import shard_parameters
from kolossos.parallel.sums import data_sums
from kolossos.specs.layout import Layout

WAITING = ("tp", "pp", "cp", "ep", "etp")
"""Degrees that no file here applies yet."""


def parallelize(model: Decoder, layout: Layout, mesh: DeviceMesh | None) -> Decoder:
    """Cut ``model`` (on the meta device) as ``layout`` says, in place, and return it; on one rank nothing is done.

    Raises:
        InputError: an axis that training does not take yet.
    """
    if mesh is None:
        return model
    for axis in WAITING:
        if getattr(layout, axis) > 1:
            raise InputError(f"layout.{axis} = {getattr(layout, axis)} is not available for training yet; set it to 1")
    sums = data_sums(mesh)
    for module in model.modules():
        if isinstance(module, Router):
            module.sum_over_ranks = sums.of
    shard_parameters(model, layout, mesh)
    return model
