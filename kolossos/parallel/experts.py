"""Expert parallelism: each rank holds some experts, and rows go to them and come back by all-to-all.

(GShard, arXiv:2006.16668.) Ranks are those of the other axes (`coordinates.degrees_of_experts`). ``etp`` cuts each
expert as tensor parallelism cuts an MLP.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Placement, Shard

from kolossos.model.decoder import Decoder, Layer
from kolossos.model.experts.exchange import Rows, WayHome
from kolossos.model.held import is_traced
from kolossos.parallel.exchanges import exchanged
from kolossos.parallel.tensor import place

WIDTH = {"gate": 2, "up": 2, "down": 1}
"""The dim of each expert tensor that etp cuts."""


def cut_experts(model: Decoder, mesh: DeviceMesh) -> None:
    """Cut the experts of all layers over the axes ep and etp of ``mesh`` that have more than one rank, in place."""
    axes = tuple(axis for axis in ("ep", "etp") if mesh[axis].size() > 1)
    for layer in model.layers:
        assert isinstance(layer, Layer)
        if layer.moe is None or not axes:
            continue
        for name, width in WIDTH.items():
            where: dict[str, Placement] = {"ep": Shard(0), "etp": Shard(width)}
            place(layer.moe.experts, name, mesh[axes], [where[axis] for axis in axes])
        if "ep" in axes:
            # never compiled: how many rows go where is known only to the numbers
            layer.moe.exchange = torch.compiler.disable(partial(to_their_ranks, group=mesh["ep"].get_group()))  # type: ignore[assignment]


def to_their_ranks(rows: Rows, group: ProcessGroup) -> tuple[Rows, WayHome]:
    """An `Exchange`: rank i of ``group`` has the i-th part of the experts."""
    ranks = group.size()
    count_E = torch.diff(rows.ends_E, prepend=rows.ends_E.new_zeros(1)).long()
    share = [count_E.numel() // ranks] * ranks
    coming = exchanged(count_E, share, share, group).view(ranks, -1)  # rows by rank and expert that is here
    if is_traced(count_E):  # no numbers: loads are even
        sent = even_parts(rows.x_RD.shape[0], ranks)
        received = [sent[group.rank()]] * ranks
    else:
        sent, received = count_E.view(ranks, -1).sum(1).tolist(), coming.sum(1).tolist()
    experts = torch.arange(coming.shape[1], device=coming.device).repeat(ranks)
    experts = experts.repeat_interleave(coming.flatten(), output_size=sum(received))
    by_expert = experts.argsort(stable=True)  # rows come rank by rank, and are to be expert by expert
    by_rank = by_expert.argsort()

    def go(x: Tensor) -> Tensor:
        return _Reorder.apply(exchanged(x, sent, received, group), by_expert, by_rank)  # type: ignore[return-value]

    def come_home(y_RD: Tensor) -> Tensor:
        return exchanged(_Reorder.apply(y_RD, by_rank, by_expert), received, sent, group)  # type: ignore[arg-type]

    here = Rows(go(rows.x_RD), go(rows.gates_R), coming.sum(0).cumsum(0).to(torch.int32))
    return here, torch.compiler.disable(come_home)  # type: ignore[return-value]


def even_parts(whole: int, parts: int) -> list[int]:
    """``whole`` in ``parts`` that differ by one at most."""
    return [whole // parts + (part < whole % parts) for part in range(parts)]


class _Reorder(torch.autograd.Function):
    """Rows in another order, a gather both ways."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return x[order]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return grads[0][back], None, None
