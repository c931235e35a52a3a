"""Parameters, gradients and optimizer state cut over dp_shard and repeated over dp_replicate: FSDP2 and HSDP.

(Zhao et al., arXiv:2304.11277; torch's fully_shard.) Gradients are summed: the loss of each rank is divided by the
targets of the whole global batch already. What is gathered stays in the dtype of the weights, so that the numbers are
those of one rank.
"""

from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.parallel.mesh import DATA
from kolossos.specs.layout import Layout


def shard_parameters(model: Decoder, layout: Layout, mesh: DeviceMesh) -> None:
    """Cut each layer, and the rest of the model together, in place."""
    if layout.sharding == "none" and layout.dp_shard > 1:
        raise InputError(
            f"layout.sharding = 'none' repeats every weight, but dp_shard = {layout.dp_shard} shards them; "
            "set dp_replicate in place of dp_shard"
        )
    data = mesh[DATA] if layout.dp_replicate > 1 else mesh["dp_shard"]
    again = layout.sharding == "parameters"  # gathered again for backward; else kept from forward (ZeRO-2)
    for module in (*model.layers, model):
        # the loss reads the output matrix after the forward pass of the whole, so what is outside of layers is kept
        fully_shard(module, mesh=data, reshard_after_forward=again and module is not model)
        assert isinstance(module, FSDPModule)
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)  # gloo has no other
