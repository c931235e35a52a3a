"""A copy of the state that is written while training goes on.

The copy is made into buffers that are allocated once, behind the first steps, and used again, and only of what this
rank writes. torch's own staging copies as fast into its own buffers (``benchmarks/parallel/checkpoint_cost.py``), but
``DefaultStager`` would copy every replica too, and its copy beside the computation on a GPU must be waited for before
the next update all the same.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from kolossos.train.checkpoints.ranks import ALONE, Ranks

PAGE_BYTES = 4096

Key = tuple[str, tuple[int, ...]]
"""A tensor's name and the offsets of a shard in it."""


@dataclass(frozen=True)
class Shard:
    """A block of a tensor: where it begins in the whole, and the whole's shape."""

    name: str
    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    tensor: Tensor

    @property
    def key(self) -> Key:
        return self.name, self.offsets


def shards_of(state: dict[str, Tensor]) -> list[Shard]:
    """The blocks of ``state`` that this rank holds: its own of a DTensor, the whole of any other tensor."""
    shards = []
    for name, tensor in state.items():
        shape = tuple(tensor.shape)
        if not isinstance(tensor, DTensor):
            shards.append(Shard(name, (0,) * len(shape), shape, tensor.detach()))
        elif tensor.device_mesh.get_coordinate() is not None:
            for chunk in tensor.__create_chunk_list__():
                shards.append(Shard(name, tuple(chunk.offsets), shape, tensor.to_local().detach()))
    return [shard for shard in shards if shard.tensor.numel() or 0 in shard.shape]


def share_out(held: Sequence[Sequence[tuple[Key, int]]]) -> list[set[Key]]:
    """Which keys each rank writes: each key one of its holders, the one with the fewest bytes so far.

    Args:
        held: for each rank the keys it holds and their bytes.
    """
    holders: dict[Key, list[int]] = {}
    size: dict[Key, int] = {}
    for rank, keys in enumerate(held):
        for key, n_bytes in keys:
            holders.setdefault(key, []).append(rank)
            size[key] = n_bytes
    mine: list[set[Key]] = [set() for _ in held]
    load: Counter[int] = Counter()
    for key in sorted(holders):
        rank = min(holders[key], key=lambda rank: (load[rank], rank))
        mine[rank].add(key)
        load[rank] += size[key]
    return mine


class Staging:
    """Copies what this rank has to write."""

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        self._planned: list[tuple[Key, int]] | None = None
        self._mine: set[Key] = set()
        self._buffers: dict[Key, Tensor] = {}

    def plan(self, state: dict[str, Tensor]) -> Callable[[], None]:
        """Agree on who writes what of such a state; what is returned makes this rank's buffers, on any thread."""
        shards = shards_of(state)
        self._plan([(shard.key, shard.tensor.nbytes) for shard in shards])

        def make() -> None:
            for shard in shards:
                if shard.key in self._mine:
                    bytes_of = self._empty(shard).view(-1).view(torch.uint8).numpy()
                    bytes_of[::PAGE_BYTES] = 0  # only what was written to is there

        return make

    def copy(self, state: dict[str, Tensor]) -> list[Shard]:
        """This rank's shards in buffers on the CPU, good until the next call. All ranks call it together."""
        shards = shards_of(state)
        self._plan([(shard.key, shard.tensor.nbytes) for shard in shards])
        staged = [
            Shard(shard.name, shard.offsets, shard.shape, self._buffer(shard))
            for shard in shards
            if shard.key in self._mine
        ]
        if any(shard.tensor.is_cuda for shard in shards):
            torch.cuda.synchronize()
        return staged

    def _plan(self, held: list[tuple[Key, int]]) -> None:
        """Agree on who writes what; again only if some rank holds something else than before."""
        if all(self._ranks.gather(held == self._planned)):
            return
        self._mine = share_out(self._ranks.gather(held))[self._ranks.rank]
        self._planned = held

    def _buffer(self, shard: Shard) -> Tensor:
        return self._empty(shard).copy_(shard.tensor, non_blocking=shard.tensor.is_cuda)

    def _empty(self, shard: Shard) -> Tensor:
        source = shard.tensor
        buffer = self._buffers.get(shard.key)
        if buffer is None or buffer.shape != source.shape or buffer.dtype != source.dtype:
            buffer = torch.empty(source.shape, dtype=source.dtype, device="cpu", pin_memory=source.is_cuda)
            self._buffers[shard.key] = buffer
        return buffer
