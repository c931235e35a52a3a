"""The words of a layout as numbers in columns: the one place where a name becomes a code, and back.

The names are those that ``Layout`` allows, in its order; a code is a name's place. Formulas compare with the
enumerations below, never with bare numbers.
"""

from enum import IntEnum
from typing import get_args

from kolossos.specs.layout import Layout

NAMES: dict[str, tuple[str, ...]] = {
    axis: get_args(Layout.model_fields[axis].annotation) for axis in ("recompute", "precision", "schedule", "sharding")
}
"""Names of every axis of a layout that is no number, by code. Schedules are described in ``plan.schedules``."""


class Recompute(IntEnum):
    """What backward computes again."""

    NONE = NAMES["recompute"].index("none")
    SELECTIVE = NAMES["recompute"].index("selective")
    FULL = NAMES["recompute"].index("full")


class Precision(IntEnum):
    """Of the products, wide to narrow: what is narrower has a larger code."""

    FP32 = NAMES["precision"].index("fp32")
    BF16 = NAMES["precision"].index("bf16")
    FP8 = NAMES["precision"].index("fp8")
    MXFP8 = NAMES["precision"].index("mxfp8")
    NVFP4 = NAMES["precision"].index("nvfp4")


class Sharding(IntEnum):
    """What dp_shard spreads: each level also what the one before it does."""

    NONE = NAMES["sharding"].index("none")
    OPTIMIZER = NAMES["sharding"].index("optimizer")
    GRADIENTS = NAMES["sharding"].index("gradients")
    PARAMETERS = NAMES["sharding"].index("parameters")


def code(axis: str, name: str) -> int:
    """The number of ``name`` in columns; ValueError for a name that ``Layout`` does not allow."""
    return NAMES[axis].index(name)
