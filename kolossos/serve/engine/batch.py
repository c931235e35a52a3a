"""What one pass works on, and what a network that does passes looks like.

Shapes: N tokens of Q sequences in a row, M rows whose logits are wanted, V vocabulary, D dim.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

PAGE = 16
"""Positions of a page of keys and values."""


@dataclass(frozen=True)
class Part:
    """Consecutive tokens of one sequence. ids: at the positions from ``position`` on. pages: of the sequence.

    wanted: places among ``ids`` whose logits are wanted.
    """

    ids: Sequence[int]
    position: int
    pages: Sequence[int]
    wanted: Sequence[int] = ()


@dataclass(frozen=True)
class Batch:
    """Parts as arrays (int32): ids, positions [N]; firsts [Q + 1]; tables [Q, pages]; wanted [M] rows."""

    ids: np.ndarray
    positions: np.ndarray
    firsts: np.ndarray
    tables: np.ndarray
    wanted: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[Part]) -> "Batch":
        """In the order of ``parts``; rows that are wanted stand in that order, too."""
        firsts = np.cumsum([0, *(len(part.ids) for part in parts)], dtype=np.int32)
        tables = np.zeros((len(parts), max(len(part.pages) for part in parts)), dtype=np.int32)
        for row, part in zip(tables, parts, strict=True):
            row[: len(part.pages)] = part.pages
        positions = [np.arange(part.position, part.position + len(part.ids)) for part in parts]
        wanted = [first + place for first, part in zip(firsts, parts, strict=False) for place in part.wanted]
        return cls(
            np.concatenate([np.asarray(part.ids, dtype=np.int32) for part in parts]),
            np.concatenate(positions).astype(np.int32),
            firsts,
            tables,
            np.array(wanted, dtype=np.int32),
        )


class Network(Protocol):
    """A decoder with room for the keys and values of ``pages`` pages.

    The bits of a row of logits depend on its sequence's own tokens alone: neither on other sequences of the pass nor
    on the passes that the sequence's earlier tokens came in.
    """

    vocab_size: int
    context: int
    pages: int
    kind: str
    """In words, such as "fp32, 2 threads, AVX-512"."""

    def forward(self, batch: Batch, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits [M, V] fp32 of the rows that are wanted and, if asked for, the final hidden states [N, D]."""
        ...

    def forget(self, pages: Sequence[int]) -> None:
        """Write zeros over pages, so that what is not finite there can reach nobody."""
        ...
