"""Exchanges among replicas that may vanish in the middle of one: sums whose bits do not ask who computed what.

One group for each place in a replica: the ranks that hold the same part of the model. What is summed is a vector a
share of the global batch, always in the order of the shares (and, within the share of one who is absent, in that of the
passes); each member adds up its piece of the vectors, and all gather the pieces. That moves as many bytes as a ring
would. Groups are made anew whenever somebody leaves or comes, straight from torch's backend, for the ranks of one
replica have their own default group and know nothing of the others'.
"""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import Store

from kolossos.parallel.units import Unit

CONNECT_S = 20.0
EXCHANGE_S = 1800.0  # who is gone is told of by the coordinator, long before
PAUSES_S = (0.0002, 0.002)  # between two looks at an exchange: at first, and once it takes long
HASTE_S = 0.05


class Broken(Exception):
    """An exchange among replicas will not end: somebody has gone, or the membership has changed."""


_left: list[object] = []
"""Exchanges under way that nothing interrupts."""


def anything_left() -> bool:
    """Whether a thread of this process may still wait for one who is gone, so that it must end without waiting."""
    return bool(_left)


class ReplicaGroup:
    """``size`` members; this one is the ``rank``-th. ``over`` says that nobody is to wait any longer.

    Raises:
        Broken: the members do not find each other; every exchange raises it as soon as it fails or ``over`` says so.
    """

    def __init__(self, store: Store, rank: int, size: int, over: Callable[[], bool]):
        self.rank, self.size, self._over = rank, size, over
        self._group: Any = None  # a ProcessGroupGloo, of whose methods torch's stubs know few
        if size > 1:
            try:
                self._group = dist.ProcessGroupGloo(store, rank, size, timedelta(seconds=CONNECT_S))
                self._group._set_default_timeout(timedelta(seconds=EXCHANGE_S))
            except RuntimeError as error:
                raise Broken(str(error)) from error

    def sum_of_counts(self, counts: Tensor) -> Tensor:
        """The sum of whole numbers over the members, exact."""
        if self.size == 1:
            return counts
        sums = counts.cpu().clone()
        self._wait(lambda group: group.allreduce([sums]))
        return sums.to(counts.device)

    def total(self, mine: Sequence[Tensor], computed: Sequence[Sequence[Unit]], shares: int) -> Tensor:
        """The sum of the vectors of all shares.

        Args:
            mine: this member's fp32 vectors [n], one for each entry of its line in ``computed``.
            computed: by member which vector is whose: (pass, share), or (-1, share) where it is the sum of all passes.
            shares: how many there are.
        """
        n = mine[0].numel()
        ends = [n * (member + 1) // self.size for member in range(self.size)]
        pieces = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
        here = pieces[self.rank]
        if self.size == 1:
            received = [list(mine)]
        else:
            sent = torch.cat([vector[piece].cpu() for piece in pieces for vector in mine])
            length = here.stop - here.start
            came = torch.empty(length * sum(map(len, computed)), dtype=sent.dtype)
            sizes_in = [len(mine) * (piece.stop - piece.start) for piece in pieces]
            sizes_out = [length * len(line) for line in computed]
            self._wait(lambda group: group.alltoall_base(came, sent, sizes_out, sizes_in))
            received = [
                list(part.view(len(line), length)) for part, line in zip(came.split(sizes_out), computed, strict=True)
            ]
        piece = _in_order(received, computed, shares)
        if self.size == 1:
            return piece
        widest = max(part.stop - part.start for part in pieces)
        padded, gathered = piece.new_zeros(widest), piece.new_empty(widest * self.size)
        padded[: piece.numel()] = piece
        self._wait(lambda group: group._allgather_base(gathered, padded))
        rows = gathered.view(self.size, widest)
        whole = [row[: part.stop - part.start] for row, part in zip(rows, pieces, strict=True)]
        return torch.cat(whole).to(mine[0].device)

    def bring(self, tensors: Sequence[Tensor], source: int, to: Sequence[int]) -> None:
        """Overwrite ``tensors`` of the members ``to`` with those of ``source``; all members call this."""
        for tensor in tensors:
            n, is_target = tensor.numel(), self.rank in to
            sent = tensor.detach().cpu().flatten() if self.rank == source else torch.empty(0, dtype=tensor.dtype)
            sizes_in = [n if self.rank == source and member in to else 0 for member in range(self.size)]
            sizes_out = [n if is_target and member == source else 0 for member in range(self.size)]
            self._exchange(tensor, sent.repeat(len(to)), sizes_in, sizes_out)

    def _exchange(self, tensor: Tensor, sent: Tensor, sizes_in: list[int], sizes_out: list[int]) -> None:
        came = torch.empty(sum(sizes_out), dtype=tensor.dtype)
        self._wait(lambda group: group.alltoall_base(came, sent, sizes_out, sizes_in))
        if came.numel():
            tensor.detach().copy_(came.view(tensor.shape))

    def leave(self) -> None:
        """Use the group no more."""
        self._group = None

    def _wait(self, begin: Callable[[Any], dist.Work]) -> None:
        if self._group is None:
            raise Broken("this member has left")
        try:
            work = begin(self._group)
            started = time.monotonic()
            while not work.is_completed():
                if self._over():
                    _left.append((work, self._group))  # to let it go would wait for it
                    raise Broken("the membership has changed")
                time.sleep(PAUSES_S[time.monotonic() - started > HASTE_S])
            work.wait()
        except RuntimeError as error:
            raise Broken(str(error)) from error


def _in_order(received: Sequence[Sequence[Tensor]], computed: Sequence[Sequence[Unit]], shares: int) -> Tensor:
    """The sum over shares, each the sum over its passes, both from the first on."""
    by_unit = {
        unit: vector
        for vectors, line in zip(received, computed, strict=True)
        for vector, unit in zip(vectors, line, strict=True)
    }
    total: Tensor | None = None
    for share in range(shares):
        of_share: Tensor | None = None
        for unit in sorted(unit for unit in by_unit if unit[1] == share):
            of_share = by_unit[unit] if of_share is None else of_share + by_unit[unit]
        assert of_share is not None, f"nobody computed share {share}"
        total = of_share if total is None else total + of_share
    assert total is not None
    return total
