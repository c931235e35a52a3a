"""A layout applied to a model: one line an axis, in the order in which the axes go on."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from torch import Tensor

from kolossos.model.chunks import Held
from kolossos.model.decoder import Decoder
from kolossos.model.experts.routing import Router
from kolossos.model.sequence import SequenceCut
from kolossos.parallel.context import gather_keys
from kolossos.parallel.experts import cut_experts
from kolossos.parallel.fsdp import finish_gradients, gradients_seen, shard_parameters
from kolossos.parallel.mesh import Meshes
from kolossos.parallel.sums import RankSums
from kolossos.parallel.tensor import cut_weights
from kolossos.specs.layout import Layout


def parallelize(model: Decoder, layout: Layout, meshes: Meshes | None) -> Decoder:
    """Cut ``model`` (on the meta device, this rank's layers) as ``layout`` says, in place, and return it.

    On one rank nothing is done. Whether the model can be cut so is known before (`takes.require_takes`).
    """
    if meshes is None:
        return model
    place = meshes.place
    model.cut = SequenceCut(layout.cp, place["cp"], layout.tp, place["tp"])
    sums = RankSums(meshes.stage)
    for module in model.modules():
        if isinstance(module, Router):
            module.sum_over_ranks = sums.of
    cut_experts(model, meshes.experts)
    if layout.tp > 1:
        cut_weights(model, meshes.weights["tp"], whole_experts=layout.etp == 1)
    if layout.cp > 1:
        gather_keys(model, meshes.ranks["cp"].get_group())
    shard_parameters(model, layout, meshes)
    return model


def before_sums(see: Callable[[Sequence[Tensor]], None]) -> AbstractContextManager[None]:
    """Inside the block ``see`` is given the gradients of this rank's own sequences before they are added to others'."""
    return gradients_seen(see)


def end_of_backward(model: Held) -> None:
    """To be called behind the last micro-batch of a step, by all ranks: then gradients are whole sums."""
    finish_gradients(model)
