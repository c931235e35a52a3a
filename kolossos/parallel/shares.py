"""Which sequences of a global batch a rank works on: a pure function of (layout, share of the batch). No torch.

A pass is one micro-batch of every rank together: the next ``micro_batch_size x data_parallel`` sequences of the global
batch, however many ranks share them. So the sums over a pass, the router's loads among them, do not depend on the
number of ranks or on how unequal their shares are.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from kolossos.parallel.coordinates import coordinates_of, data_rank
from kolossos.specs.layout import Layout


def share_of_rank(layout: Layout, rank: int, weights: Sequence[int] | None = None) -> list[range]:
    """`share_of_batch` for a rank of the whole world; ranks that differ in tp, pp or cp alone have the same."""
    return share_of_batch(layout, data_rank(layout, coordinates_of(layout, rank)), weights)


def share_of_batch(layout: Layout, which: int, weights: Sequence[int] | None = None) -> list[range]:
    """The sequences of the global batch, one range a pass, of share ``which`` among ``len(weights)``.

    ``weights`` are how much each share takes, in any unit; by default ``layout.data_parallel`` equal ones. Each pass is
    cut in their proportion, to whole sequences.

    Raises:
        ValueError: a share without a sequence in some pass: its rank would have nothing to bring to the sums.
    """
    weights = weights or [1] * layout.data_parallel
    together = layout.micro_batch_size * layout.data_parallel
    ends = [0, *accumulate(weights)]
    cuts = [(2 * end * together + ends[-1]) // (2 * ends[-1]) for end in ends]  # rounded to the nearest
    if any(stop <= start for start, stop in pairwise(cuts)):
        raise ValueError(f"weights {list(weights)} leave a share of the {together} sequences of a pass empty")
    start, stop = cuts[which], cuts[which + 1]
    return [range(first + start, first + stop) for first in range(0, layout.global_batch_size, together)]
