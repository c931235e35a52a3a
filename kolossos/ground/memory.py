"""Sources held in memory and searched: for tests, measurements, and a few thousand texts that need no index.

Lexical by bm25s, by vectors where an encoder is given, fused by rank (Cormack, Clarke, Buettcher 2009).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from kolossos.errors import InputError
from kolossos.ground.rarity import rarities
from kolossos.ground.source import HELPFUL, Hit, Passage, Query, Source
from kolossos.ground.words import stems, words

FUSION = 60  # k of reciprocal rank fusion, as published
DEPTH = 100  # ranks of each kind that are fused


class Encoder(Protocol):
    """What makes vectors of texts: float32 of length 1, [texts, dimensions]."""

    def queries(self, texts: Sequence[str]) -> np.ndarray: ...

    def passages(self, texts: Sequence[str]) -> np.ndarray: ...


class Memory:
    """A Searcher over ``passages``. Words are those of the index on disk; a query's filters hold for every hit."""

    def __init__(self, passages: Iterable[Passage], encoder: Encoder | None = None) -> None:
        """Index ``passages``; every one is kept, also an empty one."""
        self.passages = tuple(passages)
        self.encoder = encoder
        self._stems = [stems(f"{p.source.title} {p.text}", p.source.language or "en") for p in self.passages]
        self._frequencies = Counter(stem for found in self._stems for stem in set(found))
        self._lexical = _bm25(self._stems)
        self._vectors = encoder.passages([p.text for p in self.passages]) if encoder and self.passages else None

    def search(self, query: Query, count: int = 10, keep: Callable[[Passage], bool] | None = None) -> list[Hit]:
        """The best passages first; of those for which ``keep`` is true, where it is given."""
        allowed = [row for row, p in enumerate(self.passages) if _passes(p, query) and (keep is None or keep(p))]
        if not allowed:
            return []
        rows = np.array(allowed)
        ranks: dict[str, list[int]] = {}
        asked = [s for s in stems(query.text, query.language or "en") if s in self._frequencies]
        if asked and self._lexical is not None:
            ranks["lexical rank"] = _best(rows, self._lexical.get_scores(asked)[rows], positive=True)
        if self._vectors is not None and self.encoder is not None and query.text.strip():
            scores = self._vectors[rows] @ self.encoder.queries([query.text])[0]
            ranks["dense rank"] = _best(rows, scores, positive=False)
        if not ranks and not query.text.strip():
            return [Hit(self.passages[row], 0.0, {}) for row in allowed[:count]]
        return self._fused(ranks, count)

    def rarities(self, terms: Sequence[str]) -> list[float]:
        """How rare each stem is among the passages."""
        return rarities([self._frequencies.get(term, 0) for term in terms], len(self.passages))

    def _fused(self, ranks: dict[str, list[int]], count: int) -> list[Hit]:
        score: dict[int, float] = {}
        why: dict[int, dict[str, float | str]] = {}
        for name, rows in ranks.items():
            for rank, row in enumerate(rows, 1):
                score[row] = score.get(row, 0.0) + 1 / (FUSION + rank)
                why.setdefault(row, {})[name] = rank
        best = sorted(score, key=lambda row: (-score[row], row))[:count]
        return [Hit(self.passages[row], score[row], why[row]) for row in best]


def whole(source: Source) -> Passage:
    """A source as one passage."""
    return Passage(source, 0, len(source.text))


def _best(rows: np.ndarray, scores: np.ndarray, positive: bool) -> list[int]:
    order = np.argsort(-scores, kind="stable")[:DEPTH]
    return [int(rows[i]) for i in order if scores[i] > 0 or not positive]


def _passes(passage: Passage, query: Query) -> bool:
    source = passage.source
    if query.author and source.author.lower().removeprefix("@") != query.author.lower().removeprefix("@"):
        return False
    if (query.since or query.until) and source.date is None:
        return False
    if query.since and source.date and source.date < query.since:
        return False
    if query.until and source.date and source.date >= query.until:
        return False
    if (query.language and source.language != query.language) or (query.kind and source.kind != query.kind):
        return False
    if query.has_note is not None and any(n.status == HELPFUL for n in source.notes) != query.has_note:
        return False
    return not (query.phrases or query.excluded) or _says(passage.text, query)


def _says(text: str, query: Query) -> bool:
    said = f" {' '.join(words(text))} "

    def found(phrase: str) -> bool:
        return f" {' '.join(words(phrase))} " in said

    return all(map(found, query.phrases)) and not any(map(found, query.excluded))


def _bm25(texts: list[list[str]]) -> Any:
    """bm25s over ``texts``, or None where they hold no word."""
    try:
        import bm25s
    except ImportError:
        raise InputError("searching in memory needs bm25s: pip install 'kolossos[ground]'") from None
    vocabulary: dict[str, int] = {}
    for text in texts:
        for stem in text:
            vocabulary.setdefault(stem, len(vocabulary))
    if not vocabulary:
        return None
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index([[*text] for text in texts], show_progress=False)
    return index
