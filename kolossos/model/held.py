"""Which part of a whole tensor this process holds: all of it, or, of a DTensor, the shard of this rank."""

import logging

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Partial
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from torch.utils._python_dispatch import _disable_current_modes

# says at each gathering of a tensor that is cut twice along one dim that it takes two exchanges
logging.getLogger("torch.distributed.tensor._redistribute").setLevel(logging.ERROR)


def held_tensor(tensor: Tensor) -> Tensor:
    """The plain tensor with the elements that are here; writing to it writes to ``tensor``."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor  # type: ignore[return-value]


def usable(weight: Tensor) -> Tensor:
    """The part of a weight that is here, for products with the tokens that are here.

    Ranks that hold the same part have other tokens, so their gradients of it are parts of a sum.
    """
    if not isinstance(weight, DTensor):
        return weight
    return weight.to_local(grad_placements=[Partial() if p.is_replicate() else p for p in weight.placements])


def mesh_of(tensor: Tensor) -> object:
    """The ranks that ``tensor`` lies on, as something to compare; None for this process alone."""
    return tensor.device_mesh if isinstance(tensor, DTensor) else None


def held_slices(tensor: Tensor) -> tuple[slice, ...]:
    """Where `held_tensor` stands in the whole, one slice a dim."""
    if not isinstance(tensor, DTensor):
        return tuple(slice(0, size) for size in tensor.shape)
    with _disable_current_modes():  # a mesh computes with tensors of its own, also where all others are traced
        shape, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)
    return tuple(slice(start, start + size) for start, size in zip(offset, shape, strict=True))


def whole_tensor(held: Tensor, like: Tensor) -> Tensor:
    """The whole tensor, gathered from the parts ``held`` that all ranks have of it, laid out as ``like``."""
    if not isinstance(like, DTensor):
        return held
    parts = DTensor.from_local(
        held, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )
    return parts.full_tensor()


def on_one_rank(dim: int, tensor: Tensor) -> bool:
    """Whether ``dim`` of ``tensor`` is not cut."""
    return not isinstance(tensor, DTensor) or not any(p.is_shard(dim % tensor.ndim) for p in tensor.placements)


def is_traced(tensor: Tensor) -> bool:
    """Whether ``tensor`` stands for one without having numbers (FakeTensorMode, the meta device)."""
    return isinstance(tensor, torch._subclasses.FakeTensor) or tensor.is_meta
