"""The one point between routing and products where rows may change ranks.

An exchange takes the rows that this rank's tokens made, sorted by expert, and gives back the rows that its experts are
to work on, and the way home for their results. Expert parallelism puts its all-to-all here; by default nothing moves.

Shapes: R rows sorted by expert, D dim, E experts.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Rows(NamedTuple):
    """Rows for the experts: inputs, the router's weight of each, and the running sum of rows an expert has (int32)."""

    x_RD: Tensor
    gates_R: Tensor
    ends_E: Tensor


WayHome = Callable[[Tensor], Tensor]
"""Results [R, D] of the experts' rows -> results of the rows that were sent, in their order."""

Exchange = Callable[[Rows], tuple[Rows, WayHome]]


def nothing_moves(rows: Rows) -> tuple[Rows, WayHome]:
    """Every expert is here."""
    return rows, _stay


def _stay(y_RD: Tensor) -> Tensor:
    return y_RD
