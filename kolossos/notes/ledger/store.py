"""Where the log lies: SQLite on one machine, PostgreSQL for many servers. Both keep the same tables and one rule: who
writes holds the only lock there is, from before the first look at the state until the commit.

    events(seq, at, kind, actor, key, digest, market, body)   the log; (actor, key) once
    postings(seq, place, account, asset, amount)      what each event moved
    balances(account, asset, amount)                  the sums; the database itself refuses one below zero
    snapshots(seq, body)                              the state after an event, to begin from
"""

import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kolossos.errors import InputError

FORMAT = 1
PATIENCE_S = 60.0  # for the lock of another writer
_MAY_OWE = "amount >= 0 OR (asset = 'credits' AND account = 'mint') OR (asset <> 'credits' AND account LIKE 'escrow:%')"
TABLES = (
    "CREATE TABLE IF NOT EXISTS events (seq BIGINT PRIMARY KEY, at BIGINT NOT NULL, kind TEXT NOT NULL,"
    " actor TEXT NOT NULL, key TEXT, digest TEXT, market TEXT, body TEXT NOT NULL, UNIQUE (actor, key))",
    "CREATE INDEX IF NOT EXISTS events_of_market ON events (market, seq)",
    "CREATE TABLE IF NOT EXISTS postings (seq BIGINT NOT NULL, place INTEGER NOT NULL, account TEXT NOT NULL,"
    " asset TEXT NOT NULL, amount BIGINT NOT NULL, PRIMARY KEY (seq, place))",
    "CREATE TABLE IF NOT EXISTS balances (account TEXT NOT NULL, asset TEXT NOT NULL, amount BIGINT NOT NULL"
    f" CHECK ({_MAY_OWE}), PRIMARY KEY (account, asset))",
    "CREATE TABLE IF NOT EXISTS snapshots (seq BIGINT PRIMARY KEY, body TEXT NOT NULL)",
)
_COLUMNS = "seq, at, kind, actor, key, digest, market, body"
_EVENT = f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_POSTING = "INSERT INTO postings (seq, place, account, asset, amount) VALUES (?, ?, ?, ?, ?)"
_BALANCE = (
    "INSERT INTO balances (account, asset, amount) VALUES (?, ?, ?)"
    " ON CONFLICT (account, asset) DO UPDATE SET amount = excluded.amount"
)

_BALANCES_AT_ONCE = (
    "INSERT INTO balances (account, asset, amount) SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])"
    " ON CONFLICT (account, asset) DO UPDATE SET amount = excluded.amount"
)


class EventRow(NamedTuple):
    """An event as it is kept."""

    seq: int
    at: int
    kind: str
    actor: str
    key: str | None
    digest: str | None
    market: str | None
    body: str


class Store(ABC):
    """The tables of one ledger, through one connection: for one thread at a time."""

    @abstractmethod
    def begin(self) -> None:
        """Take the lock of the only writer; wait for it."""

    @abstractmethod
    def run(self, statement: str, values: Sequence = ()) -> list[tuple]:
        """One statement (``?`` for values); its rows."""

    @abstractmethod
    def many(self, statement: str, rows: Iterable[Sequence]) -> None:
        """One statement for each row of values."""

    @abstractmethod
    def commit(self) -> None:
        """Everything since `begin` is durable when this returns; the lock is free."""

    @abstractmethod
    def rollback(self) -> None:
        """Nothing since `begin` has happened; the lock is free."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection."""

    def events_after(self, seq: int) -> Iterator[EventRow]:
        """The log from event ``seq + 1`` on, in order."""
        while True:
            rows = self.run(
                f"SELECT {_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT 5000",
                (seq,),
            )
            yield from (EventRow(*row) for row in rows)
            if len(rows) < 5000:
                return
            seq = rows[-1][0]

    def head(self) -> int:
        """The number of the last event; 0 if there is none."""
        return self.run("SELECT COALESCE(MAX(seq), 0) FROM events")[0][0]

    def known(self, actor: str, key: str) -> tuple[str, str] | None:
        """(digest, body) of the event that this actor made with this key, if there is one."""
        rows = self.run("SELECT digest, body FROM events WHERE actor = ? AND key = ?", (actor, key))
        return rows[0] if rows else None

    def of_market(self, market: str, kinds: Sequence[str], limit: int) -> list[str]:
        """Bodies of the last ``limit`` events of these kinds in a market, the latest first."""
        marks = ", ".join("?" * len(kinds))
        statement = f"SELECT body FROM events WHERE market = ? AND kind IN ({marks}) ORDER BY seq DESC LIMIT ?"
        return [body for (body,) in self.run(statement, (market, *kinds, limit))]

    def append(self, events: list[EventRow], postings: list[tuple], balances: list[tuple]) -> None:
        """Add to the log, between `begin` and `commit`."""
        self.many(_EVENT, events)
        self.many(_POSTING, postings)
        self.many(_BALANCE, balances)

    def snapshot(self) -> tuple[int, str] | None:
        """The latest snapshot."""
        rows = self.run("SELECT seq, body FROM snapshots ORDER BY seq DESC LIMIT 1")
        return rows[0] if rows else None

    def keep_snapshot(self, seq: int, body: str) -> None:
        """Put a snapshot in the place of older ones, between `begin` and `commit`."""
        self.run("DELETE FROM snapshots WHERE seq <= ?", (seq,))
        self.run("INSERT INTO snapshots (seq, body) VALUES (?, ?)", (seq, body))


class SqliteStore(Store):
    """A file, in write-ahead mode; every commit waits for the disk."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=PATIENCE_S)
            self._write_ahead()
            self.run("PRAGMA synchronous = FULL")
            self.begin()
            for statement in TABLES:
                self.run(statement)
            (version,) = self.run("PRAGMA user_version")[0]
            if version not in (0, FORMAT):
                raise InputError(f"{path} is a ledger of format {version}: this program reads format {FORMAT}")
            self.run(f"PRAGMA user_version = {FORMAT}")
            self.commit()
        except sqlite3.Error as error:
            raise InputError(f"{path} cannot be used as a ledger: {error}") from None

    def _write_ahead(self) -> None:
        """SQLite does not wait when the mode is to change while another process opens the file: we do."""
        until = time.monotonic() + PATIENCE_S
        while self.run("PRAGMA journal_mode") != [("wal",)]:
            try:
                self.run("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def run(self, statement: str, values: Sequence = ()) -> list[tuple]:
        return self._connection.execute(statement, values).fetchall()

    def many(self, statement: str, rows: Iterable[Sequence]) -> None:
        self._connection.executemany(statement, rows)

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


class PostgresStore(Store):
    """A schema in a PostgreSQL database, ``kolossos_notes`` unless the URL's fragment names another; an advisory lock
    makes writers wait for each other, on however many servers they are."""

    def __init__(self, url: str) -> None:
        psycopg = _psycopg()
        address, _, schema = url.partition("#")
        schema = schema or "kolossos_notes"
        if not schema.isidentifier() or not schema.isascii():
            raise InputError(f"{schema!r:.60} is no name for a schema: letters, digits and _")
        try:
            self._connection: Any = psycopg.connect(address, autocommit=True, prepare_threshold=2)
            self._lock = (schema,)
            self._connection.execute(f"SET search_path TO {schema}")
            self.begin()
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for statement in TABLES:
                self.run(statement)
            self.commit()
        except psycopg.Error as error:
            raise InputError(f"{_without_secret(address)} cannot be used as a ledger: {str(error).strip()}") from None

    def begin(self) -> None:
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", self._lock)

    def run(self, statement: str, values: Sequence = ()) -> list[tuple]:
        cursor = self._connection.execute(statement.replace("%", "%%").replace("?", "%s"), values or None)
        return cursor.fetchall() if cursor.description else []

    def many(self, statement: str, rows: Iterable[Sequence]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(statement.replace("%", "%%").replace("?", "%s"), list(rows))

    def append(self, events: list[EventRow], postings: list[tuple], balances: list[tuple]) -> None:
        with self._connection.cursor() as cursor:
            for target, rows in ((_EVENT, events), (_POSTING, postings)):
                columns = target.removeprefix("INSERT INTO ").partition(" VALUES")[0]
                with cursor.copy(f"COPY {columns} FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
            accounts, assets, amounts = (
                (list(column) for column in zip(*balances, strict=True)) if balances else ([], [], [])
            )
            cursor.execute(_BALANCES_AT_ONCE, (accounts, assets, amounts))

    def commit(self) -> None:
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if not self._connection.closed and not self._connection.broken:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


def open_store(where: str | Path) -> Store:
    """A path is a SQLite file; ``postgresql://...`` a database."""
    if str(where).startswith(("postgresql://", "postgres://")):
        return PostgresStore(str(where))
    return SqliteStore(Path(where))


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise InputError("a ledger in PostgreSQL needs psycopg: pip install 'kolossos[postgres]'") from None
    return psycopg


def _without_secret(address: str) -> str:
    parts = urlsplit(address)
    return f"postgresql://{parts.hostname or ''}{parts.path}"
