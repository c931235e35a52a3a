"""Kolossos' own training step."""

import numpy as np

from .contest import Shape
from .rows import Row
from .stopwatch import Stopwatch


def train(row: Row, shape: Shape, batches: np.ndarray, stopwatch: Stopwatch) -> dict:
    from kolossos.train import step  # noqa: F401

    raise NotImplementedError("kolossos.train.step is there: wire it here")
