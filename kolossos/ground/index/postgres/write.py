"""Writing to an index in a database: a batch is one transaction, acknowledged when the server has committed it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.ground.embed import Embedder
from kolossos.ground.index.model import embedded_text, embedder_for, model_of
from kolossos.ground.index.postgres.tables import About, connect, exists, lexemes, make_tables, psycopg, signed
from kolossos.ground.index.records import digest_number, key_number, microseconds, pack, passage_number
from kolossos.ground.index.schema import folded
from kolossos.ground.passages import passages
from kolossos.ground.source import Passage, Source
from kolossos.ground.store import Counts
from kolossos.ground.words import stemmed_as, stems, words

GAP = 2  # places between a title and the text, so that no phrase reaches over both
SOURCE_COLUMNS = "key, number, digest, origin, author, language, kind, date, noted, record"
PASSAGE_COLUMNS = "number, key, start, stop, size, words, stems, body"


class PostgresStore:
    """An index in a schema of a database, made if there is none."""

    def __init__(self, url: str, model_folder: Path | None = None) -> None:
        """Connect; InputError where that fails, or where the model is not the index's."""
        self._connection, self._shown = connect(url)
        self._new = not exists(self._connection)
        known = None if self._new else About(self._connection, self._shown).model
        self._embedder = embedder_for(self._shown, known, model_folder, self._new)

    @property
    def embedded(self) -> bool:
        """Whether vectors are kept."""
        return self._embedder is not None

    @contextmanager
    def writing(self) -> Iterator["PostgresWriter"]:
        """Hold the index for writing: one process at a time, on however many machines."""
        library = psycopg()
        schema = self._shown.rpartition("#")[2]
        lock = "SELECT pg_try_advisory_lock(hashtextextended(%s, 11))"
        if not self._connection.execute(lock, (schema,)).fetchone()[0]:
            raise InputError(f"{self._shown} is being written by another process; wait for it")
        try:
            if not exists(self._connection):
                make_tables(self._connection, model_of(self._embedder), schema)
            yield PostgresWriter(self._connection, self._shown, self._embedder)
        except library.Error as error:
            raise InputError(f"{self._shown} cannot be written: {' '.join(str(error).split())[:200]}") from None
        finally:
            self._connection.close()


class PostgresWriter:
    """The one who writes to a database."""

    def __init__(self, connection: Any, shown: str, embedder: Embedder | None) -> None:
        self._connection, self._embedder = connection, embedder
        about = About(connection, shown)
        self._pgvector, self._languages = about.pgvector, set(about.languages)

    def write(self, sources: Sequence[Source], origin: str) -> Counts:
        """See `StoreWriter`; of sources with one key the last counts."""
        latest = {source.key: source for source in sources}
        packed = {key: pack(source) for key, source in latest.items()}
        digests = {key: digest_number(content) for key, content in packed.items()}
        found = self._connection.execute("SELECT key, digest FROM sources WHERE key = ANY(%s)", (list(latest),))
        known = dict(found.fetchall())
        cut = {k: passages(s) for k, s in latest.items() if known.get(k) != signed(digests[k])}
        fresh = {key: made for key, made in cut.items() if made}
        counts = Counts(
            added=sum(key not in known for key in fresh),
            changed=sum(key in known for key in fresh),
            unchanged=len(latest) - len(cut),
            removed=sum(key in known for key in cut.keys() - fresh.keys()),
        )
        if not counts.added + counts.changed + counts.removed:
            return counts
        rows = [_source_row(latest[key], digests[key], packed[key], origin) for key in fresh]
        cut_rows = self._passage_rows([(digests[key], passage) for key, made in fresh.items() for passage in made])
        with self._connection.transaction():
            self._connection.execute("DELETE FROM sources WHERE key = ANY(%s)", (list(cut),))
            self._copy(f"sources ({SOURCE_COLUMNS})", rows)
            self._copy(f"passages ({PASSAGE_COLUMNS}{', vector' if self._embedder else ''})", cut_rows)
            self._languages |= {stemmed_as(latest[key].language) for key in fresh}
            self._changed()
        return counts

    def delete(self, keys: Sequence[str] = (), author: str = "") -> int:
        """See `StoreWriter`."""
        with self._connection.transaction():
            removed = self._connection.execute("DELETE FROM sources WHERE key = ANY(%s)", (list(keys),)).rowcount
            if author:
                removed += self._connection.execute("DELETE FROM sources WHERE author = %s", (folded(author),)).rowcount
            self._changed()
        return removed

    def keep_only(self, origin: str, seen: Sequence[np.ndarray]) -> int:
        """See `StoreWriter`."""
        found = self._connection.execute("SELECT number FROM sources WHERE origin = %s", (origin,)).fetchall()
        present = np.array([number for (number,) in found], np.int64)
        kept = np.concatenate([*seen, np.zeros(0, np.uint64)]).astype(np.uint64).view(np.int64)
        gone = np.setdiff1d(present, kept).tolist()
        with self._connection.transaction():
            removed = self._connection.execute("DELETE FROM sources WHERE number = ANY(%s)", (gone,)).rowcount
            self._changed()
        return removed

    def finish(self) -> None:
        """Let the server see how its tables have grown."""
        self._connection.execute("ANALYZE sources")
        self._connection.execute("ANALYZE passages")

    def _changed(self) -> None:
        languages = json.dumps(sorted(self._languages))
        self._connection.execute("UPDATE about SET value = %s WHERE name = 'languages'", (languages,))
        self._connection.execute("UPDATE about SET value = (value::bigint + 1)::text WHERE name = 'revision'")

    def _copy(self, target: str, rows: list[tuple]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def _passage_rows(self, numbered: list[tuple[int, Passage]]) -> list[tuple]:
        rows = [_passage_row(digest, passage) for digest, passage in numbered]
        if self._embedder is None:
            return rows
        vectors = self._embedder.passages([embedded_text(passage) for _, passage in numbered])
        form = _as_pgvector if self._pgvector else list
        return [(*row, form(vector.tolist())) for row, vector in zip(rows, vectors, strict=True)]


def _source_row(source: Source, digest: int, packed: bytes, origin: str) -> tuple:
    return (
        source.key,
        signed(key_number(source.key)),
        signed(digest),
        origin,
        folded(source.author),
        source.language,
        source.kind,
        microseconds(source.date) if source.date else None,
        bool(source.notes) and source.kind != "note",
        packed.decode(),
    )


def _passage_row(digest: int, passage: Passage) -> tuple:
    source = passage.source
    title, text = words(source.title), words(passage.text)
    stemmed = [*stems(source.title, source.language), *stems(passage.text, source.language)]
    placed = [*title, *[""] * GAP, *text] if title else text
    return (
        signed(passage_number(digest, passage)),
        source.key,
        passage.start,
        passage.end,
        len(stemmed),
        lexemes(placed),
        lexemes(stemmed),
        " ".join(stemmed),
    )


def _as_pgvector(vector: list[float]) -> str:
    return "[" + ",".join(map(repr, vector)) + "]"
