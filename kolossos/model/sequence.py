"""Which positions of a sequence this process works on, where sequences are cut over ranks.

Two cuts, one inside the other. Context parallelism (cp) cuts attention's queries: 2 cp equal pieces, of which rank i
has number i and number i from the end, so that causal attention is equal work for all (Llama 3, arXiv:2407.21783,
section 3.3.2). Sequence parallelism (arXiv:2205.05198) cuts what a cp rank has once more, evenly, over its tp ranks:
outside of attention and MLP each has positions of its own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

Span = tuple[int, int]
"""First position and the one behind the last."""


@dataclass(frozen=True)
class SequenceCut:
    """The place of this process among those that share a sequence; all of it by default."""

    cp: int = 1
    cp_rank: int = 0
    tp: int = 1
    tp_rank: int = 0

    @property
    def ways(self) -> int:
        """Into how many equal parts a sequence is cut."""
        return self.cp * self.tp

    def spans(self, length: int) -> tuple[Span, ...]:
        """The positions whose queries this process has in attention, in order."""
        if self.cp == 1:
            return ((0, length),)
        piece = length // (2 * self.cp)
        return tuple(
            (number * piece, (number + 1) * piece) for number in (self.cp_rank, 2 * self.cp - 1 - self.cp_rank)
        )

    def attended(self, length: int, device: torch.device) -> Tensor:
        """`spans` as the positions themselves."""
        return torch.cat([torch.arange(*span, device=device) for span in self.spans(length)])

    def own(self, x_BS: Tensor) -> Tensor:
        """Of whole sequences what is this process's alone."""
        length = x_BS.shape[1] // self.ways
        mine = self.attended(x_BS.shape[1], x_BS.device)[self.tp_rank * length : (self.tp_rank + 1) * length]
        return x_BS[:, mine]


WHOLE = SequenceCut()
