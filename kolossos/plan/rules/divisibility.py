"""What divides what, over columns of whole numbers."""

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.layers import chunk_rule

Mask = NDArray[np.bool_]


def divides(part, whole) -> Mask:
    """Where ``part`` divides ``whole``; for float64 columns that hold integers."""
    ratio = whole / part
    return ratio == np.floor(ratio)


MOST_MISSING = 4
"""Layers that a pipeline's two ends together may have less than the other stages."""


def fills_chunks(layers, pp, vp) -> Mask:
    """Where ``layers`` fill pp x vp equal chunks but for a few at the ends.

    Each keeps a layer at least; of stages with several chunks the first may hold the embedding alone, and the last the
    head (94 layers as 96 chunks).
    """
    rule = chunk_rule(layers, pp, vp)
    keeps = (rule.missing_last < rule.chunk) | ((rule.missing_last == rule.chunk) & (vp > 1) & (pp > 1))
    return (rule.missing <= np.where(pp > 1, MOST_MISSING, 0)) & keeps
