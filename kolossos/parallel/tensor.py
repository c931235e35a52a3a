"""Tensor parallelism with sequence parallelism (Megatron, arXiv:1909.08053 and 2205.05198).

Attention heads and MLP columns are cut over tp. Between these blocks each rank has some positions of a sequence: on the
way in the positions of all are gathered, on the way out the partial results are added up and scattered again. Norms,
router, embedding and output are whole on every rank, whose gradient of them is that of its own positions.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Placement, Replicate, Shard, distribute_tensor

from kolossos.model.decoder import Decoder, Layer
from kolossos.model.experts.gated import Experts
from kolossos.parallel.exchanges import all_gathered, reduce_scattered

COLUMNS = ("attention.query", "attention.key", "attention.value", "mlp.gate", "mlp.up")
ROWS = ("attention.output", "mlp.down")
SEQUENCE = 1


def cut_weights(model: Decoder, mesh: DeviceMesh, whole_experts: bool) -> None:
    """Cut all weights but those of experts over ``mesh`` (tp), in place; ``whole_experts``: each rank routes its own
    positions, else an expert is cut as an MLP is, and routed are the positions of all."""
    group = mesh.get_group()
    for layer in model.layers:
        assert isinstance(layer, Layer)
        for names, dim in ((COLUMNS, 0), (ROWS, 1)):
            for name in names:
                if not (name.startswith("mlp") and layer.mlp is None):
                    place(layer.get_submodule(name), "weight", mesh, [Shard(dim)])
        blocks = [layer.attention, layer.mlp, None if whole_experts else layer.moe]
        for block in (block for block in blocks if block is not None):
            _work_on_all_positions(block, group)
    for module in model.layers.modules():  # what is outside of layers FSDP cuts over these ranks, too
        for name, parameter in list(module.named_parameters(recurse=False)):
            if type(parameter) is nn.Parameter and not isinstance(module, Experts):
                place(module, name, mesh, [Replicate()])


def place(module: nn.Module, name: str, mesh: DeviceMesh, placements: list[Placement]) -> None:
    """Put a parameter on ``mesh``; it must be on the meta device, for nothing is sent."""
    parameter = module.get_parameter(name)
    assert parameter.is_meta
    placed = distribute_tensor(parameter.detach(), mesh, placements, src_data_rank=None)
    module.register_parameter(name, nn.Parameter(placed))


def _work_on_all_positions(block: nn.Module, group: ProcessGroup) -> None:
    def gather(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return all_gathered(args[0], SEQUENCE, group), *args[1:]

    def scatter(_: nn.Module, __: tuple[Any, ...], out: Any) -> Any:
        if isinstance(out, torch.Tensor):
            return reduce_scattered(out, SEQUENCE, group)
        first: Tensor = out[0]
        return reduce_scattered(first, SEQUENCE, group), *out[1:]

    block.register_forward_pre_hook(gather)
    block.register_forward_hook(scatter)
