"""How much a word tells, by how few passages have it."""

from collections.abc import Sequence

import numpy as np


def rarities(found: Sequence[int], passages: int) -> list[float]:
    """Lucene's idf of BM25 for words that ``found`` of ``passages`` have: ln(1 + (N - n + 0.5) / (n + 0.5))."""
    n = np.asarray(found, float)
    return list(np.log1p((passages - n + 0.5) / (n + 0.5)))
