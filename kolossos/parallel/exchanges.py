"""Collectives with their backward passes: what gathers in forward adds up and scatters in backward, and the reverse."""

from typing import Any

import torch
import torch.distributed._functional_collectives as functional
from torch import Tensor
from torch.distributed import ProcessGroup


def all_gathered(x: Tensor, dim: int, group: ProcessGroup) -> Tensor:
    """The parts of all ranks of ``group``, one behind the other along ``dim``; its gradient is added up over them."""
    return _Gather.apply(x, dim, group)  # type: ignore[return-value]


def reduce_scattered(x: Tensor, dim: int, group: ProcessGroup) -> Tensor:
    """This rank's part along ``dim`` of the sum over ``group``."""
    return _Scatter.apply(x, dim, group)  # type: ignore[return-value]


def exchanged(x: Tensor, sent: list[int], received: list[int], group: ProcessGroup) -> Tensor:
    """All to all: the first ``sent[0]`` rows go to rank 0 of ``group``, and so on; what comes is in order of rank."""
    return _AllToAll.apply(x, sent, received, group)  # type: ignore[return-value]


def _gather(x: Tensor, dim: int, group: ProcessGroup) -> Tensor:
    ranks = group.size()
    parts = torch.ops._c10d_functional.all_gather_into_tensor(x.contiguous(), ranks, group.group_name)
    parts = functional.wait_tensor(parts)
    return torch.cat(parts.chunk(ranks), dim) if dim else parts


def _scatter(x: Tensor, dim: int, group: ProcessGroup) -> Tensor:
    ranks = group.size()
    parts = torch.cat(x.chunk(ranks, dim)) if dim else x.contiguous()
    sums = torch.ops._c10d_functional.reduce_scatter_tensor(parts, "sum", ranks, group.group_name)
    return functional.wait_tensor(sums)


def _all_to_all(x: Tensor, sent: list[int], received: list[int], group: ProcessGroup) -> Tensor:
    return functional.wait_tensor(functional.all_to_all_single(x.contiguous(), received, sent, group))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, group: ProcessGroup) -> Tensor:
        ctx.dim, ctx.group = dim, group
        return _gather(x, dim, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _scatter(grads[0], ctx.dim, ctx.group), None, None


class _Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, group: ProcessGroup) -> Tensor:
        ctx.dim, ctx.group = dim, group
        return _scatter(x, dim, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _gather(grads[0], ctx.dim, ctx.group), None, None


class _AllToAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sent: list[int], received: list[int], group: ProcessGroup) -> Tensor:
        ctx.sent, ctx.received, ctx.group = sent, received, group
        return _all_to_all(x, sent, received, group)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        return _all_to_all(grads[0], ctx.received, ctx.sent, ctx.group), None, None, None
