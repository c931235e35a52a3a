"""The tables of an index in a database, and how text becomes what PostgreSQL searches.

    about(name, value)       version, model, languages, revision
    sources(key, ...)        each source whole, and what filters look at
    passages(number, ...)    its passages: words with places, stems, text, and a vector where there is a model

Words and stems are those of the index in a folder, so the same query finds the same in both.
"""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from kolossos.errors import InputError
from kolossos.ground.index.model import Model

FORMAT, VERSION = "kolossos-index", 1
SCHEMA = "kolossos_ground"
MOST_PLACES = 16383  # PostgreSQL knows none beyond

TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE sources (key TEXT PRIMARY KEY, number BIGINT NOT NULL, digest BIGINT NOT NULL, origin TEXT NOT NULL,"
    " author TEXT NOT NULL, language TEXT NOT NULL, kind TEXT NOT NULL, date BIGINT, noted BOOLEAN NOT NULL,"
    " record TEXT NOT NULL)",
    "CREATE TABLE passages (number BIGINT PRIMARY KEY, key TEXT NOT NULL REFERENCES sources ON DELETE CASCADE,"
    " start INTEGER NOT NULL, stop INTEGER NOT NULL, size INTEGER NOT NULL, words TSVECTOR NOT NULL,"
    " stems TSVECTOR NOT NULL, body TEXT NOT NULL)",
    "CREATE INDEX sources_of_author ON sources (author)",
    "CREATE INDEX sources_of_origin ON sources (origin)",
    "CREATE INDEX sources_by_date ON sources (date DESC NULLS LAST)",
    "CREATE INDEX passages_of_key ON passages (key)",
    "CREATE INDEX passages_of_words ON passages USING GIN (words)",
    "CREATE INDEX passages_of_stems ON passages USING GIN (stems)",
)


def psycopg() -> Any:
    """The client library; InputError that says how to install it."""
    try:
        import psycopg as library
    except ImportError:
        raise InputError("an index in PostgreSQL needs psycopg: pip install 'kolossos[postgres]'") from None
    return library


def connect(url: str) -> tuple[Any, str]:
    """(connection, shown name). The schema is ``kolossos_ground`` unless the URL's fragment names another."""
    library = psycopg()
    address, _, schema = url.partition("#")
    schema = schema or SCHEMA
    if not schema.isidentifier() or not schema.isascii():
        raise InputError(f"{schema!r:.60} is no name for a schema: letters, digits and _")
    parts = urlsplit(address)
    shown = f"postgresql://{parts.hostname or ''}{parts.path}#{schema}"
    try:
        connection = library.connect(address, autocommit=True)
        connection.execute(f"SET search_path TO {schema}, public")
    except library.Error as error:
        raise InputError(f"{shown} cannot be reached: {' '.join(str(error).split())}") from None
    return connection, shown


class About:
    """What an index says of itself."""

    def __init__(self, connection: Any, shown: str) -> None:
        """InputError if there is no index, or one of another version."""
        rows = dict(connection.execute("SELECT name, value FROM about").fetchall()) if exists(connection) else {}
        if not rows:
            raise InputError(f"{shown} holds no index; kolossos index makes one")
        if rows.get("format") != FORMAT or rows.get("version") != str(VERSION):
            raise InputError(
                f"{shown} is an index of version {rows.get('version')}, and this program reads version {VERSION}; "
                f"make the index again"
            )
        model = json.loads(rows["model"])
        self.model = Model(**model) if model else None
        self.languages = tuple(json.loads(rows["languages"]))
        self.revision = int(rows["revision"])
        self.pgvector = rows["pgvector"] == "yes"


def exists(connection: Any) -> bool:
    """Whether the schema holds an index."""
    return connection.execute("SELECT to_regclass('about')").fetchone()[0] is not None


def make_tables(connection: Any, model: Model | None, schema: str) -> None:
    """A new, empty index; vectors as pgvector keeps them where it is installed, else as arrays."""
    with connection.transaction():
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for statement in TABLES:
            connection.execute(statement)
        pgvector = bool(model) and has_pgvector(connection)
        if model and pgvector:
            connection.execute(f"ALTER TABLE passages ADD COLUMN vector vector({model.dimensions})")
            connection.execute("CREATE INDEX passages_by_meaning ON passages USING hnsw (vector vector_cosine_ops)")
        elif model:
            connection.execute("ALTER TABLE passages ADD COLUMN vector REAL[]")
        about = {
            "format": FORMAT,
            "version": str(VERSION),
            "model": json.dumps(vars(model) if model else None),
            "languages": "[]",
            "revision": "0",
            "pgvector": "yes" if pgvector else "no",
        }
        for row in about.items():
            connection.execute("INSERT INTO about VALUES (%s, %s)", row)


def has_pgvector(connection: Any) -> bool:
    """Whether the server has pgvector, and we may use it."""
    library = psycopg()
    if not connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone():
        return False
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public")
    except library.Error:
        return False
    return True


def lexemes(terms: Iterable[str]) -> str:
    """Terms in order as the text of a tsvector with their places."""
    places: dict[str, list[int]] = {}
    for place, term in enumerate(terms, start=1):
        if term:  # an empty one keeps a place free
            places.setdefault(term, []).append(min(place, MOST_PLACES))
    return " ".join(f"{quoted(term)}:{','.join(map(str, where))}" for term, where in places.items())


def quoted(term: str) -> str:
    """A lexeme as a tsvector or tsquery is written."""
    escaped = term.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def signed(number: int) -> int:
    """64 bits as PostgreSQL's BIGINT."""
    return number - (1 << 64) if number >= 1 << 63 else number
