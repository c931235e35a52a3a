"""Vectors of texts that were embedded before, kept in a file, so that a measurement can be repeated in seconds."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kolossos.ground.embed import Embedder


class Kept:
    """An Embedder that remembers. ``computed_s``: seconds spent on texts that were new."""

    def __init__(self, model: Path, file: Path | None = None) -> None:
        """Read ``file`` (.npy, its texts beside it as .json) where it exists and was made by this model."""
        self.embedder = Embedder(model)
        self.identity = self.embedder.identity
        self._file = file
        self._known: dict[str, np.ndarray] = {}
        self.computed_s = 0.0
        if file is not None and file.exists():
            kept = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
            if kept["identity"] == self.identity:
                self._known = dict(zip(kept["texts"], np.load(file), strict=True))

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        return self._vectors(texts, "q", self.embedder.queries)

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        return self._vectors(texts, "p", self.embedder.passages)

    def _vectors(self, texts: Sequence[str], kind: str, embed) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if kind + text not in self._known]
        if new:
            start = time.process_time()
            for text, vector in zip(new, embed(new), strict=True):
                self._known[kind + text] = vector
            self.computed_s += time.process_time() - start
        return np.array([self._known[kind + text] for text in texts], np.float32).reshape(len(texts), -1)

    def save(self) -> None:
        """Write what is known."""
        if self._file is None or not self._known:
            return
        np.save(self._file, np.array(list(self._known.values())))
        kept = {"identity": self.identity, "texts": list(self._known)}
        self._file.with_suffix(".json").write_text(json.dumps(kept), encoding="utf-8")
