"""A gradient computed again by another rank: a processor that adds up wrongly says so nowhere else.

Every so many steps (``compute.replay_every``) each data-parallel rank computes, before weights change, the gradient of
its neighbour's sequences too: a ring, so that all are looked at. Weights, data and order of sums are the same, so are
the bits; what is compared are fingerprints of the gradients that a rank brings to the sum. Where two differ both
compute both again, and a third rank too if there is one: what more than half of the calculations give is right.

(Silent data corruption at scale: Dixit et al., arXiv:2102.11245; found by replaying steps: Gemini, arXiv:2312.11805,
section 4.) Kernels must be deterministic, and all ranks of one kind of processor.
"""

import socket
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kolossos.model.chunks import Held
from kolossos.model.held import held_tensor
from kolossos.parallel.parallelize import before_sums
from kolossos.parallel.replaying import Partners
from kolossos.train.checkpoints.ranks import Ranks
from kolossos.train.watch.board import Board

AT_ONCE = 1 << 22  # elements of which a fingerprint holds a copy
ODD = 0x9E3779B97F4A7C15 - (1 << 64)  # 2^64 / golden ratio: weights that no two places share
NAMED = 4

Print = tuple[int, int]
"""Of the bits of gradients: their sum, and their sum by place, modulo 2^64."""


@dataclass(frozen=True)
class Computed:
    """What ``rank`` on ``host`` found for the sequences of ``whose``."""

    whose: Hashable
    rank: int
    host: str
    found: Print

    @classmethod
    def of_json(cls, values: list[Any]) -> "Computed":
        """From a list of the values."""
        whose, rank, host, found = values
        return cls(whose, rank, host, (found[0], found[1]))


@dataclass(eq=False)
class Miscomputed(Exception):
    """Ranks (with their hosts) that disagree; ``sure``: those are wrong, and the others of ``compared`` are right."""

    ranks: list[tuple[int, str]]
    sure: bool
    compared: list[tuple[int, str]]

    def __str__(self) -> str:
        if not self.sure:
            return (
                f"silent corruption: {_named(self.ranks)} computed different gradients of the same data, and each the "
                f"same again: it cannot be said who is right"
            )
        others = [rank for rank in self.compared if rank not in self.ranks]
        beside = f", compared with {_named(others)}" if others else ""
        return f"silent corruption: {_named(self.ranks)} computed another gradient than others of the same data{beside}"


def disagreement(computed: Sequence[Computed]) -> list[Computed]:
    """Of what several found, that which not all found alike."""
    found: dict[Hashable, set[Print]] = {}
    for one in computed:
        found.setdefault(one.whose, set()).add(one.found)
    return [one for one in computed if len(found[one.whose]) > 1]


def verdict(computed: Sequence[Computed]) -> Miscomputed:
    """Who is wrong: whoever found, of some sequences, another thing than more than half of the calculations of them."""
    wrong: list[tuple[int, str]] = []
    undecided: list[list[tuple[int, str]]] = []
    apart = disagreement(computed)
    for whose in dict.fromkeys(one.whose for one in apart):
        of_it = [one for one in apart if one.whose == whose]
        most, count = Counter(one.found for one in of_it).most_common(1)[0]
        if 2 * count > len(of_it):
            wrong += [(one.rank, one.host) for one in of_it if one.found != most]
        else:
            undecided.append([(one.rank, one.host) for one in of_it])
    unexplained = [rank for ranks in undecided if not set(ranks) & set(wrong) for rank in ranks]
    compared = list(dict.fromkeys((one.rank, one.host) for one in apart))
    return Miscomputed(list(dict.fromkeys([*wrong, *unexplained])), not unexplained, compared)


def verified(
    mine: list[Computed],
    tried: Callable[[int], Computed],
    partners: int,
    told: Callable[[int, list[Computed]], list[Computed] | None],
) -> Miscomputed | None:
    """Who is wrong in a ring of ``partners``; None where nobody is, or where ``told`` gives none. All call it together.

    Args:
        mine: what was computed here already. tried: computes what the partner so many places on has to compute.
        told: makes what was computed here known to all, in the first and the second round, and gives what all told.
    """
    computed = told(0, [*mine, tried(1)])
    if computed is None or not disagreement(computed):
        return None
    further = told(1, [tried(places) for places in ((0, 1, 2) if partners > 2 else (0, 1))])
    return None if further is None else verdict(computed + further)


def fingerprint(tensors: Sequence[Tensor]) -> Print:
    """Of the bits of ``tensors``, computed where they are: any one bit that differs makes another."""
    total, by_place, start = 0, 0, 0
    for tensor in tensors:
        flat = held_tensor(tensor.detach()).contiguous().flatten()
        words = flat.view(torch.int32 if flat.element_size() == 4 else torch.int16)
        for part in words.split(AT_ONCE):
            bits = part.to(torch.int64)
            place = torch.arange(start, start + len(bits), device=bits.device, dtype=torch.int64) * ODD | 1
            total, by_place = total + int(bits.sum()), by_place + int((bits * place).sum())
            start += len(bits)
    return total % (1 << 64), by_place % (1 << 64)


class Replay:
    """The replay of one step on the ranks of one job.

    again: computes, without any update, the gradients of the sequences of the partner so many places on.
    """

    def __init__(self, partners: Partners, ranks: Ranks, model: Held, board: Board, again: Callable[[int], object]):
        self._partners, self._ranks, self._model, self._board, self._again = partners, ranks, model, board, again
        self._found: list[Print] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around the step: the gradients that are computed inside are fingerprinted."""
        with before_sums(lambda gradients: self._found.append(fingerprint(gradients))):
            yield

    def verify(self) -> None:
        """Compare, between the gradients of the step and its update; all ranks together.

        Raises:
            Miscomputed: on all ranks, with the gradients cleared.
        """
        self._board.at("replay")
        held = [(parameter, parameter.grad) for parameter in self._model.parameters()]
        wrong = verified([self._computed(0, self._take())], self._tried, self._partners.count, self._gathered)
        for parameter, gradient in held:
            parameter.grad = None if wrong else gradient
        if wrong is not None:
            raise wrong

    def _tried(self, places: int) -> Computed:
        for parameter in self._model.parameters():
            parameter.grad = None
        self._again(places)
        self._board.at("replay")
        return self._computed(places, self._take())

    def _computed(self, places: int, found: Print) -> Computed:
        return Computed(self._partners.whose(places), self._ranks.rank, socket.gethostname(), found)

    def _take(self) -> Print:
        """Of all that was seen since the last time, in order."""
        total, by_place = 0, 0
        for number, (one, other) in enumerate(self._found):
            total, by_place = total + one, by_place + other * (2 * number + 1)
        self._found = []
        return total % (1 << 64), by_place % (1 << 64)

    def _gathered(self, _: int, mine: list[Computed]) -> list[Computed]:
        return [one for of_rank in self._ranks.gather(mine) for one in of_rank]


def _named(ranks: Sequence[tuple[int, str]]) -> str:
    named = ", ".join(f"rank {rank} on {host}" for rank, host in ranks[:NAMED])
    return named + (f" and {len(ranks) - NAMED} more" if len(ranks) > NAMED else "")
