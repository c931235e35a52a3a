"""Parameters, gradients and optimizer state cut over dp_shard and repeated over dp_replicate: FSDP2 and HSDP.

(Zhao et al., arXiv:2304.11277; torch's fully_shard.) Gradients are summed: the loss of each rank is divided by the
targets of the whole global batch already. What is gathered stays in the dtype of the weights, so that the numbers are
those of one rank. Every layout of several ranks passes here: it is what makes a weight whole for a layer, and what adds
up the gradients of ranks with other tokens, those of cp among them.
"""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from kolossos.model.decoder import Decoder, Layer
from kolossos.parallel.mesh import Meshes
from kolossos.specs.layout import Layout


def shard_parameters(model: Decoder, layout: Layout, meshes: Meshes) -> None:
    """Cut each layer, and the rest of the model together, in place."""
    again = layout.sharding == "parameters"  # gathered again for backward; else kept from forward (ZeRO-2)
    apart = layout.tp > 1 or layout.ep > 1  # the ranks that share an expert are others than those that share a layer
    for layer in model.layers:
        assert isinstance(layer, Layer)
        if apart and layer.moe is not None:
            _shard(layer.moe.experts, meshes.experts, again)
        _shard(layer, meshes.weights, again)
    # the loss reads the output matrix after the forward pass of the whole, so what is outside of layers is kept
    _shard(model, meshes.weights, False)


def _shard(module: nn.Module, mesh: DeviceMesh, again: bool) -> None:
    data = mesh["dp_replicate", "shard"] if mesh["dp_replicate"].size() > 1 else mesh["shard"]
    fully_shard(module, mesh=data, reshard_after_forward=again)
    assert isinstance(module, FSDPModule)
    module.set_gradient_divide_factor(1.0)
    module.set_force_sum_reduction_for_comms(True)  # gloo has no other
