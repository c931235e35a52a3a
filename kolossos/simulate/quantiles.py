"""A figure over the replicates in a few points."""

import numpy as np

from kolossos.simulate.piecewise import Array
from kolossos.specs.interval import POINTS


def quantiles(values: Array) -> dict[str, float]:
    """Mean and 5, 50, 95 % over the replicates."""
    with np.errstate(invalid="ignore"):
        points = np.quantile(values, list(POINTS.values()))
    return {"mean": float(values.mean()), **{name: float(p) for name, p in zip(POINTS, points, strict=True)}}
