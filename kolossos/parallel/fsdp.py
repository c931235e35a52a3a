"""Parameters, gradients and optimizer state cut over dp_shard and repeated over dp_replicate: FSDP2 and HSDP.

(Zhao et al., arXiv:2304.11277; torch's fully_shard.) Gradients are summed: the loss of each rank is divided by the
targets of the whole global batch already. What is gathered stays in the dtype of the weights, so that the numbers are
those of one rank. Every layout of several ranks passes here: it is what makes a weight whole for a layer, and what adds
up the gradients of ranks with other tokens, those of cp among them.

``sharding``: "parameters" are gathered again for each pass, with "gradients" once a step; with "optimizer" gradients
are added up over ranks once a step, too (`finish_gradients`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import Shard

from kolossos.model.chunks import Held, decoders_of
from kolossos.model.decoder import Decoder, Layer
from kolossos.model.held import held_tensor
from kolossos.parallel.mesh import Meshes
from kolossos.specs.layout import Layout


def shard_parameters(model: Decoder, layout: Layout, meshes: Meshes) -> None:
    """Cut each layer, and the rest of the model together, in place."""
    again = layout.sharding == "parameters"  # gathered again for backward; else kept from forward (ZeRO-2)
    apart = layout.tp > 1 or layout.ep > 1  # the ranks that share an expert are others than those that share a layer
    weights, experts = _data(meshes.weights), _data(meshes.experts)
    for layer in model.layers:
        assert isinstance(layer, Layer)
        if apart and layer.moe is not None:
            _shard(layer.moe.experts, experts, again)
        _shard(layer, weights, again)
    # the loss reads the output matrix after the forward pass of the whole, so what is outside of layers is kept
    _shard(model, _data(meshes.vocabulary), False)
    model.sharding = layout.sharding
    if layout.sharding == "gradients":
        _keep_gathered(model, True)
    if layout.sharding == "optimizer":
        _set_once(model, True)


def finish_gradients(model: Held) -> None:
    """Behind the last micro-batch of a step: add up what was not for each one, let go of weights that now change."""
    for decoder in decoders_of(model):
        if decoder.sharding == "gradients":
            for module in decoder.modules():
                if isinstance(module, FSDPModule):
                    module.reshard()
        if decoder.sharding == "optimizer":
            _set_once(decoder, False)
            state = fully_shard.state(decoder)  # type: ignore[attr-defined]
            for one in state._state_ctx.all_states:  # as torch's pipelines end a step
                for group in _groups(one):
                    group.post_backward()
            state._root_post_backward_final_callback()
            _set_once(decoder, True)


@contextmanager
def gradients_seen(see: Callable[[Sequence[Tensor]], None]) -> Iterator[None]:
    """Inside the block ``see`` is given what each reduction begins with: gradients of this rank's own sequences."""
    from torch.distributed.fsdp._fully_shard import _fsdp_param_group as reducing

    real = reducing.foreach_reduce

    def seen(parameters: Any, gradients: list[Tensor], *rest: Any, **named: Any) -> Any:
        see(gradients)
        return real(parameters, gradients, *rest, **named)

    reducing.foreach_reduce = seen
    try:
        yield
    finally:
        reducing.foreach_reduce = real


def even_dim(shape: torch.Size, ranks: int) -> int:
    """The first dim that ``ranks`` divide; dim 0, which is padded, where there is none.

    8 experts over 384 ranks would be sent as 384.
    """
    return next((dim for dim, size in enumerate(shape) if size % ranks == 0), 0)


def _data(mesh: DeviceMesh) -> DeviceMesh:
    """The ranks among which FSDP cuts, and those that repeat it if there are any."""
    names = mesh.mesh_dim_names
    assert names is not None
    shard = names[names.index("dp_replicate") + 1]
    return mesh["dp_replicate", shard] if mesh["dp_replicate"].size() > 1 else mesh[shard]


def _shard(module: nn.Module, mesh: DeviceMesh, again: bool) -> None:
    ranks = mesh.size(-1)

    def placement(parameter: nn.Parameter) -> Shard:
        return Shard(even_dim(held_tensor(parameter).shape, ranks))

    fully_shard(module, mesh=mesh, reshard_after_forward=again, shard_placement_fn=placement)
    assert isinstance(module, FSDPModule)
    module.set_gradient_divide_factor(1.0)
    module.set_force_sum_reduction_for_comms(True)  # gloo has no other


def _keep_gathered(model: Decoder, keep: bool) -> None:
    assert isinstance(model, FSDPModule)
    model.set_reshard_after_backward(not keep)


def _set_once(model: Decoder, once: bool) -> None:
    assert isinstance(model, FSDPModule)
    _keep_gathered(model, once)
    model.set_requires_gradient_sync(not once)
    model.set_is_last_backward(not once)


def _groups(state: Any) -> list[Any]:
    """The groups of parameters of one module; torch before 2.13 has one at most."""
    groups = getattr(state, "_fsdp_param_groups", None)
    if groups is None:
        groups = [state._fsdp_param_group] if state._fsdp_param_group else []
    return list(groups)
