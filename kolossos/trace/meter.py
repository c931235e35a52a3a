"""Counts what a program does, operator by operator: FLOPs by kind, bytes on each axis, bytes alive.

Nothing has to be run: under fake tensors operators have shapes and no numbers. Sent bytes are those that a ring (all
to all: the rows for others) puts on the wire for one rank, as the planner counts them.
"""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

GATHERS = ("all_gather_into_tensor", "_allgather_base_")
SCATTERS = ("reduce_scatter_tensor", "_reduce_scatter_base_")
REDUCES = ("all_reduce", "all_reduce_", "allreduce_")
EXCHANGES = ("all_to_all_single", "alltoall_base_")


class Meter(TorchDispatchMode):
    """Counts while it is entered.

    axes: from the name of a process group to the axis that bytes on it belong to.
    """

    def __init__(self, axes: Mapping[str, str]):
        super().__init__()
        self.flops: Counter[str] = Counter()
        self.sent_bytes: Counter[tuple[str, str]] = Counter()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.alive_bytes = 0
        self.peak_bytes = 0
        self.phase = ""
        self._axes = axes
        self._storages: weakref.WeakKeyDictionary[torch.UntypedStorage, _Held] = weakref.WeakKeyDictionary()

    def begin(self) -> None:
        """Forget what was counted; what is alive stays alive."""
        self.flops, self.sent_bytes, self.calls = Counter(), Counter(), Counter()
        self.peak_bytes = self.alive_bytes

    def count_flops(self, kind: str, flops: int) -> None:
        """Add what an operator without a formula takes."""
        self.flops[kind] += flops

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count the bytes of tensors that were there before."""
        for tensor in tensors:
            self._hold(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(t, DTensor) for t in types):
            return NotImplemented  # it becomes operators on the parts that are here, which are counted
        kwargs = kwargs or {}
        if func is torch.ops._c10d_functional.wait_tensor.default:
            return args[0]  # under fake tensors it would make a new one
        out = func(*args, **kwargs)
        packet = func._overloadpacket
        if packet in flop_registry:
            kind = self.phase or ("experts" if func.namespace == "kolossos" else "products")
            self.flops[kind] += int(flop_registry[packet](*args, **kwargs, out_val=out))
        elif func.namespace in ("c10d", "_c10d_functional"):
            self._count_sent(func, args, out)
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self._hold(leaf)
        return out

    @contextmanager
    def resizing(self) -> Iterator[None]:
        """Gathered weights are freed and made again in storages that stay: no operator sees it."""
        resize = torch.UntypedStorage.resize_

        def resized(storage: torch.UntypedStorage, size: int) -> Any:
            result = resize(storage, size)
            if held := self._storages.get(storage):
                self._change(size - held.bytes)
                held.bytes = size
            return result

        torch.UntypedStorage.resize_ = resized  # type: ignore[method-assign]
        try:
            yield
        finally:
            torch.UntypedStorage.resize_ = resize  # type: ignore[method-assign]

    def _hold(self, tensor: Tensor) -> None:
        if isinstance(tensor, DTensor):
            tensor = tensor.to_local()
        storage = tensor.untyped_storage()
        if storage in self._storages:
            return
        held = _Held(storage.nbytes())
        self._storages[storage] = held
        weakref.finalize(storage, self._release, held)
        self._change(held.bytes)

    def _release(self, held: "_Held") -> None:
        self._change(-held.bytes)
        held.bytes = 0

    def _change(self, size: int) -> None:
        self.alive_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.alive_bytes)

    def _count_sent(self, func: Any, args: Any, out: Any) -> None:
        name = func._schema.name.split("::")[1]
        group = next((group for arg in args if (group := _group_of(arg)) is not None), None)
        if group is None:
            return
        ranks = group.size()
        if name in GATHERS:
            size = _bytes(args[0]) * (ranks - 1) if "functional" in func.namespace else _bytes(args[1]) * (ranks - 1)
            what = "all-gather"
        elif name in SCATTERS:
            whole = args[0] if "functional" in func.namespace else args[1]
            size, what = _bytes(whole) * (ranks - 1) // ranks, "reduce-scatter"
        elif name in REDUCES:
            size, what = 2 * _bytes(args[0]) * (ranks - 1) // ranks, "all-reduce"
        elif name in EXCHANGES:
            size, what = _to_others(args, group), "all-to-all"
        elif name == "send":
            size, what = _bytes(args[0]), "send"
        elif name in ("recv_", "barrier"):
            return
        else:
            raise NotImplementedError(f"no rule for the bytes of {func}")
        key = self._axes.get(group.group_name, "other"), what
        self.sent_bytes[key] += size
        self.calls[key] += 1


class _Held:
    """The size of a storage, while it lives."""

    def __init__(self, size: int):
        self.bytes = size


def _bytes(value: Any) -> int:
    return sum(x.numel() * x.element_size() for x in tree_leaves(value) if isinstance(x, Tensor))


def _to_others(args: Any, group: ProcessGroup) -> int:
    """Of an all-to-all: all but the rows that stay."""
    sizes = [arg for arg in args if isinstance(arg, (list, tuple))]
    x: Tensor = args[0]
    sent = sizes[1] if len(sizes) > 1 else [x.shape[0] // group.size()] * group.size()
    row = _bytes(x) // max(x.shape[0], 1)
    return row * (sum(sent) - sent[group.rank()])


def _group_of(arg: Any) -> ProcessGroup | None:
    if isinstance(arg, str):
        try:
            return torch.distributed.distributed_c10d._resolve_process_group(arg)  # type: ignore[arg-type]
        except (ValueError, RuntimeError):
            return None
    if isinstance(arg, torch.ScriptObject):
        try:
            return ProcessGroup.unbox(arg)  # type: ignore[arg-type]
        except RuntimeError:
            return None
    return None
