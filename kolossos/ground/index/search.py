"""Searching an index in a folder. A reader needs no lock, sees what was acknowledged, and notices what is added."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.ground.embed import Embedder
from kolossos.ground.fusion import Found, fuse
from kolossos.ground.index.lexical import open_lexical, passage_at
from kolossos.ground.index.manifest import DENSE, MANIFEST, Manifest, read_manifest
from kolossos.ground.index.model import loaded, scale_of
from kolossos.ground.index.schema import STEMS, Asked
from kolossos.ground.index.vectors import SEGMENTS, VectorReader
from kolossos.ground.rarity import rarities
from kolossos.ground.source import Hit, Query

DEPTH = 100  # of each list, at least
BRUTE_BELOW = 4_000  # passages that pass the filters are compared one by one, each in some 10 us
WIDENINGS = (4, 16, 64, 256)  # how many times more neighbours are looked at until enough of them pass the filters


class FolderSearcher:
    """A `Searcher` over an index in a folder. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Open the index; InputError if it is none, is broken or is of another version."""
        self._folder = folder
        self._embedder: Embedder | None = None
        self._state: tuple = ()
        self._refresh()

    def __len__(self) -> int:
        """Passages in the index."""
        self._refresh()
        return self._searcher.num_docs

    @property
    def embedder(self) -> Embedder | None:
        """The model whose vectors the index holds, loaded when first asked for; None if it holds none."""
        model = self._manifest.model
        if self._embedder is None and model is not None:
            self._embedder = loaded(str(self._folder), model)
        return self._embedder

    def rarities(self, terms: Sequence[str]) -> list[float]:
        """How rare each stem is among the passages."""
        self._refresh()
        return rarities([self._searcher.doc_freq(STEMS, term) for term in terms], self._searcher.num_docs)

    def search(self, query: Query, count: int = 10) -> list[Hit]:
        """The best passages first; without words to rank by the newest first."""
        self._refresh()
        asked = Asked(query, self._index.schema, self._manifest.languages)
        if not query.text.strip():
            return self._newest(asked, count)
        depth = max(DEPTH, count)
        lexical = self._lexical(asked.filtered(asked.ranking), depth) if asked.ranking is not None else {}
        lexical_order = [passage for passage, _ in _ordered(lexical)]
        cosines: dict[int, float] = {}
        dense_order: list[int] = []
        if self._manifest.model is not None and len(self._vectors):
            vector = self.embedder.queries([query.text])[0]  # pyright: ignore[reportOptionalMemberAccess]
            dense_order = self._dense(vector, asked, depth)
            cosines = self._vectors.similarity(vector, list({*lexical_order, *dense_order}))
            if asked.ranking is not None and (late := sorted(set(dense_order) - set(lexical))):
                lexical |= self._lexical(asked.among(late, asked.ranking), len(late))
        found = fuse(lexical, cosines, (lexical_order, dense_order), scale_of(self._manifest.model))[:count]
        return self._hits(found)

    def _lexical(self, query: Any, count: int) -> dict[int, float]:
        """Passage to BM25, of the ``count`` best."""
        hits = self._searcher.search(query, count, count=False).hits
        passages = self._searcher.fast_field_values("passage", [address for _, address in hits])
        scores = dict(zip(passages, (score for score, _ in hits), strict=True))
        self._addresses |= dict(zip(passages, (address for _, address in hits), strict=True))
        return scores

    def _dense(self, vector: np.ndarray, asked: Asked, depth: int) -> list[int]:
        """The passages nearest to ``vector`` that pass the filters."""
        if asked.filters:
            searched = self._searcher.search(asked.filtered(), BRUTE_BELOW, count=True)
            if searched.count <= BRUTE_BELOW:
                addresses = [address for _, address in searched.hits]
                passages = self._searcher.fast_field_values("passage", addresses)
                self._addresses |= dict(zip(passages, addresses, strict=True))
                near = self._vectors.similarity(vector, passages)
                return [passage for passage, _ in _ordered(near)][:depth]
        passing: list[int] = []
        for times in WIDENINGS:
            near = self._vectors.nearest(vector, times * depth)
            known = self._lexical(asked.among(near), len(near)) if near else {}
            passing = [passage for passage in near if passage in known][:depth]
            if len(passing) == depth or len(near) < times * depth:
                break
        return passing

    def _newest(self, asked: Asked, count: int) -> list[Hit]:
        hits = self._searcher.search(asked.filtered(), count + DEPTH, count=False, order_by_field="date").hits
        numbered = self._searcher.fast_field_values("passage", [address for _, address in hits])
        self._addresses |= dict(zip(numbered, (address for _, address in hits), strict=True))
        dates = dict(zip(numbered, (date for date, _ in hits), strict=True))
        passages = sorted(dates, key=lambda p: (dates[p] is None, -(dates[p] or 0), p))[:count]
        return [
            Hit(hit.passage, 1 / rank, {"newest": rank})
            for rank, hit in enumerate(self._hits([Found(p, 0, 0, None, None, None) for p in passages]), start=1)
        ]

    def _hits(self, found: Sequence[Found]) -> list[Hit]:
        addresses = [self._addresses[each.passage] for each in found]
        passages = passage_at(self._searcher, self._index.schema, addresses)
        return [Hit(passage, each.score, each.why) for passage, each in zip(passages, found, strict=True)]

    def _refresh(self) -> None:
        """Open again what a writer has replaced."""
        self._addresses: dict[int, Any] = {}
        if self._state and self._state == self._seen(self._manifest):
            return
        for left in reversed(range(3)):
            manifest = read_manifest(self._folder)
            state = self._seen(manifest)
            try:
                index = open_lexical(self._folder / manifest.lexical)
                break
            except InputError:
                if not left or manifest == read_manifest(self._folder):
                    raise
        self._manifest, self._state, self._index = manifest, state, index
        self._searcher = index.searcher()
        self._vectors = VectorReader(self._folder / DENSE)

    def _seen(self, manifest: Manifest) -> tuple:
        """What tells of a change: when each list of files was written."""
        lists = (MANIFEST, f"{manifest.lexical}/meta.json", f"{DENSE}/{SEGMENTS}")
        return tuple(_written(self._folder / name) for name in lists)


def _written(path: Path) -> tuple[int, int]:
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (about.st_mtime_ns, about.st_ino)


def _ordered(scores: dict[int, float]) -> list[tuple[int, float]]:
    return sorted(scores.items(), key=lambda each: (-each[1], each[0]))
