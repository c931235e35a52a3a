"""Cosines of a text and sentences; vectors are remembered, for the next question finds many sentences again."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kolossos.ground.words import encodable

MOST = 20_000  # vectors remembered; of 384 numbers they take 31 MB


class Cosines:
    """An encoder's view of sentences. For one thread at a time."""

    def __init__(self, encoder: Any) -> None:
        """``encoder``: has `queries` and `passages`, vectors of length 1."""
        self._encoder = encoder
        self._known: dict[str, np.ndarray] = {}

    def of(self, text: str, sentences: Sequence[str]) -> np.ndarray:
        """Cosines [sentences] with ``text``."""
        if not sentences:
            return np.zeros(0)
        plain = [encodable(sentence) for sentence in sentences]
        new = [sentence for sentence in dict.fromkeys(plain) if sentence not in self._known]
        made = dict(zip(new, self._encoder.passages(new), strict=True)) if new else {}
        vectors = np.array([made[s] if s in made else self._known[s] for s in plain])
        self._known |= made
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        return vectors @ self._encoder.queries([encodable(text)])[0]
