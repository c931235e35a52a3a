"""Searching an index in a database.

PostgreSQL filters and finds candidates (GIN indexes over words and stems; pgvector, where it is installed, for
meaning); their order is BM25's, which its own ranking is not: that knows nothing of how rare a word is. What the
folder's index does by itself is done here for the candidates, from counts that the server gives.
"""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.ground.embed import Embedder
from kolossos.ground.fusion import Found, fuse
from kolossos.ground.index.model import loaded, scale_of
from kolossos.ground.index.postgres.tables import About, connect, psycopg, quoted
from kolossos.ground.index.records import microseconds, unpack
from kolossos.ground.index.schema import folded
from kolossos.ground.source import Hit, Passage, Query, Source
from kolossos.ground.words import asked_terms, words

DEPTH = 100  # of each list, at least
CANDIDATES = 4  # times the depth are ordered by BM25
COMMON = 100_000  # passages; a word in more of them is as good as one in so many: counting on would take long
BRUTE_BELOW = 20_000  # passages whose vectors are compared one by one where there is no pgvector
K1, B = 1.2, 0.75  # as tantivy has them

_JOINED = "FROM passages p JOIN sources s USING (key)"


class PostgresSearcher:
    """A `Searcher` over a database. For one thread at a time."""

    def __init__(self, url: str) -> None:
        """Connect; InputError if there is no index."""
        self._connection, self._shown = connect(url)
        self._about = About(self._connection, self._shown)
        self._embedder: Embedder | None = None
        self._sizes: tuple[int, int, float] = (-1, 0, 1.0)

    @property
    def embedder(self) -> Embedder | None:
        """The model whose vectors the index holds, loaded when first asked for; None if it holds none."""
        if self._embedder is None and self._about.model is not None:
            self._embedder = loaded(self._shown, self._about.model)
        return self._embedder

    def search(self, query: Query, count: int = 10) -> list[Hit]:
        """The best passages first; without words to rank by the newest first."""
        try:
            self._about = About(self._connection, self._shown)
            return self._search(query, count)
        except psycopg().Error as error:
            raise InputError(f"{self._shown} cannot be searched: {' '.join(str(error).split())[:200]}") from None

    def _search(self, query: Query, count: int) -> list[Hit]:
        where, values = _filters(query)
        if not query.text.strip():
            rows = self._rows(
                f"SELECT p.number {_JOINED} WHERE {where} ORDER BY s.date DESC NULLS LAST, "
                f"p.number < 0, p.number LIMIT %s",
                (*values, count),
            )
            found = [Found(number, 0, 0, None, None, None) for (number,) in rows]
            return [Hit(h.passage, 1 / rank, {"newest": rank}) for rank, h in enumerate(self._hits(found), start=1)]
        depth = max(DEPTH, count)
        stemmed, terms = asked_terms(query.text, self._about.languages)
        column = "stems" if stemmed else "words"
        rarity = self._rarity(column, terms)
        lexical = self._lexical(column, rarity, where, values, depth)
        order = sorted(lexical, key=lambda number: (-lexical[number], number))[:depth]
        cosines: dict[int, float] = {}
        dense: list[int] = []
        if self._about.model is not None:
            vector = self.embedder.queries([query.text])[0]  # pyright: ignore[reportOptionalMemberAccess]
            dense = self._dense(vector, where, values, depth)
            cosines = self._cosines(vector, list({*order, *dense}))
            if late := sorted(set(dense) - set(lexical)):
                lexical |= self._bm25(column, rarity, late)
        return self._hits(fuse(lexical, cosines, (order, dense), scale_of(self._about.model))[:count])

    def _rarity(self, column: str, terms: Sequence[str]) -> dict[str, float]:
        """The inverse document frequency of each term that any passage has."""
        revision, passages, _ = self._sizes
        if revision != self._about.revision:
            passages, average = self._rows("SELECT count(*), coalesce(avg(size), 1)::float FROM passages")[0]
            self._sizes = (self._about.revision, passages, average)
        found = {}
        for term in terms:
            counted = f"SELECT count(*) FROM (SELECT 1 FROM passages WHERE {column} @@ %s::tsquery LIMIT {COMMON}) few"
            holding = self._rows(counted, (quoted(term),))[0][0]
            if holding:
                found[term] = math.log(1 + (passages - holding + 0.5) / (holding + 0.5))
        return found

    def _lexical(
        self, column: str, rarity: dict[str, float], where: str, values: Sequence[Any], depth: int
    ) -> dict[int, float]:
        """BM25 of the best passages: of those with the most and rarest of the terms."""
        if not rarity:
            return {}
        weighed = " + ".join(f"CASE WHEN p.{column} @@ %s::tsquery THEN %s ELSE 0 END" for _ in rarity)
        weights = [value for term, weight in rarity.items() for value in (quoted(term), weight)]
        rows = self._rows(
            f"SELECT p.number, ({weighed})::float AS held {_JOINED} WHERE p.{column} @@ %s::tsquery AND {where} "
            f"ORDER BY held DESC, p.size, p.number LIMIT %s",
            (*weights, " | ".join(map(quoted, rarity)), *values, CANDIDATES * depth),
        )
        return self._bm25(column, rarity, [number for number, _ in rows])

    def _bm25(self, column: str, rarity: dict[str, float], numbers: Sequence[int]) -> dict[int, float]:
        """Robertson and Zaragoza 2009, eq. 3.15, of some passages."""
        _, _, average = self._sizes
        form = "body" if column == "stems" else f"array_to_string(tsvector_to_array({column}), ' ')"
        rows = self._rows(f"SELECT number, size, {form} FROM passages WHERE number = ANY(%s)", (list(numbers),))
        scores = {}
        for number, size, body in rows:
            times = Counter(body.split())
            length = K1 * (1 - B + B * size / average)
            scores[number] = sum(
                weight * times[term] * (K1 + 1) / (times[term] + length) for term, weight in rarity.items()
            )
        return scores

    def _dense(self, vector: np.ndarray, where: str, values: Sequence[Any], depth: int) -> list[int]:
        """The passages nearest to ``vector`` that pass the filters."""
        if self._about.pgvector:
            self._connection.execute(f"SET hnsw.ef_search = {min(2 * depth, 1000)}")
            with suppress(psycopg().Error):  # from pgvector 0.8 on: go on until enough pass the filters
                self._connection.execute("SET hnsw.iterative_scan = strict_order")
            text = "[" + ",".join(map(repr, vector.tolist())) + "]"
            nearest = f"SELECT p.number {_JOINED} WHERE {where} ORDER BY p.vector <=> %s::vector LIMIT %s"
            return [number for (number,) in self._rows(nearest, (*values, text, depth))]
        passing = self._rows(f"SELECT p.number {_JOINED} WHERE {where} LIMIT %s", (*values, BRUTE_BELOW + 1))
        if len(passing) > BRUTE_BELOW:
            return []  # too many to compare one by one: what has the words is ordered by meaning too
        near = self._cosines(vector, [number for (number,) in passing])
        return sorted(near, key=lambda number: (-near[number], number))[:depth]

    def _cosines(self, vector: np.ndarray, numbers: Sequence[int]) -> dict[int, float]:
        form = "vector::real[]" if self._about.pgvector else "vector"
        rows = self._rows(f"SELECT number, {form} FROM passages WHERE number = ANY(%s)", (list(numbers),))
        if not rows:
            return {}
        kept = np.array([row for _, row in rows], np.float32)
        return dict(zip((number for number, _ in rows), (kept @ vector).tolist(), strict=True))

    def _hits(self, found: Sequence[Found]) -> list[Hit]:
        rows = self._rows(
            f"SELECT p.number, p.start, p.stop, s.key, s.record {_JOINED} WHERE p.number = ANY(%s)",
            ([each.passage for each in found],),
        )
        sources: dict[str, Source] = {}
        places = {}
        for number, start, stop, key, record in rows:
            if key not in sources:
                sources[key] = unpack(record)
            places[number] = Passage(sources[key], start, stop)
        return [Hit(places[each.passage], each.score, each.why) for each in found if each.passage in places]

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple]:
        return self._connection.execute(statement, values).fetchall()


def _filters(query: Query) -> tuple[str, list[Any]]:
    """What a passage must pass, as SQL with its values."""
    parts, values = ["TRUE"], []
    names = (("author", folded(query.author)), ("language", query.language), ("kind", query.kind))
    for column, value in names:
        if value:
            parts.append(f"s.{column} = %s")
            values.append(value)
    if query.has_note is not None:
        parts.append("s.noted = %s")
        values.append(query.has_note)
    if query.since:
        parts.append("s.date >= %s")
        values.append(microseconds(query.since))
    if query.until:
        parts.append("s.date < %s")
        values.append(microseconds(query.until))
    for phrase in query.phrases:
        if terms := words(phrase):
            parts.append("p.words @@ %s::tsquery")
            values.append(" <-> ".join(map(quoted, terms)))
    for phrase in query.excluded:
        if terms := words(phrase):
            parts.append("NOT p.words @@ %s::tsquery")
            values.append(" <-> ".join(map(quoted, terms)))
    return " AND ".join(parts), values
