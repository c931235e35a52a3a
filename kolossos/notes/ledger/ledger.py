"""The ledger: asks go in, events come out, and what is said to have happened is on the disk.

A process keeps the state in memory and the log in the store. To write it takes the store's only lock, reads the events
that others have written since, decides on what is then the case, appends, commits. So the state that an answer rests on
is never an old one, and a process that dies between any two steps leaves either the whole of a batch or nothing of it.
"""

import hashlib
import inspect
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kolossos.errors import InputError
from kolossos.notes.ledger.book import Book, Broken
from kolossos.notes.ledger.operations import EFFECTS, OPERATIONS, Operation
from kolossos.notes.ledger.settle import Already
from kolossos.notes.ledger.store import EventRow, Store, open_store

SNAPSHOT_EVERY = 20_000  # events
LONGEST_KEY = 100


class Ask(NamedTuple):
    """One thing asked of the ledger. ``key``: the same ask sent again with the same key is answered, not done again."""

    operation: str
    values: dict
    key: str | None = None

    @property
    def actor(self) -> str:
        """Who asks."""
        return str(self.values.get("user", self.values.get("by", "")))

    def digest(self) -> str:
        """What is asked, in 64 digits: another ask with the same key is an error."""
        return hashlib.sha256(compact([self.operation, self.values]).encode()).hexdigest()


class Conflict(InputError):
    """A key was used before, for something else."""


class Recorded(Book):
    """A book that remembers what its events posted, until it was written down."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, int, str, str, int]] = []  # event, place in it, account, asset, amount

    def post(self, rows: Any) -> None:
        rows = list(rows)
        super().post(rows)
        seq = self.seq + 1
        moving = (row for row in rows if row[2])
        self.rows += [(seq, place, account, asset, amount) for place, (account, asset, amount) in enumerate(moving)]


class Ledger:
    """One process's access. Methods may be called from any thread; they take turns."""

    def __init__(self, where: str | Path, clock: Callable[[], int] | None = None) -> None:
        """``where``: a file, or ``postgresql://...``; ``clock`` tells the time in ms (the system's, if not stated)."""
        self.where = str(where)
        self._clock = clock or (lambda: time.time_ns() // 1_000_000)
        self._turn = threading.RLock()
        self._store: Store = open_store(where)
        self._kept = 0  # the event up to which there is a snapshot
        self._book = self._read()

    def _read(self) -> Recorded:
        book = Recorded()
        snapshot = self._store.snapshot()
        if snapshot is not None:
            restored = Book.restored(json.loads(snapshot[1]))
            book.__dict__.update(restored.__dict__)
            self._kept = snapshot[0]
        book.find_ended = self._ended
        self._catch_up(book)
        return book

    def _catch_up(self, book: Recorded) -> None:
        for row in self._store.events_after(book.seq):
            apply(book, json.loads(row.body), None)
        book.rows.clear()

    def _ended(self, market: str) -> dict | None:
        found = self._store.of_market(market, ("settle",), 1)
        return json.loads(found[0])["ended"] if found else None

    def now(self) -> int:
        """The time of this ledger's clock, ms."""
        return self._clock()

    @contextmanager
    def reading(self) -> Iterator[Book]:
        """The state after all events that are committed now; it stands still inside the block. Not to be changed."""
        with self._turn:
            try:
                self._catch_up(self._book)
            except BaseException:
                self._start_again()
                raise
            yield self._book

    def events(self, after: int = 0, limit: int = 1000) -> list[dict]:
        """The log from event ``after + 1`` on, at most ``limit`` of it."""
        with self._turn:
            rows = self._store.run("SELECT body FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
        return [json.loads(body) for (body,) in rows]

    def market_events(self, market: str, kinds: Sequence[str], limit: int = 1000) -> list[dict]:
        """The last ``limit`` events of these kinds in a market, the latest first."""
        with self._turn:
            return [json.loads(body) for body in self._store.of_market(market, kinds, limit)]

    def submit(self, asks: Sequence[Ask]) -> list[dict | InputError]:
        """Do what is asked, in order, all in one transaction of the store. For each: the event that happened, or why
        nothing did; an ask that cannot be done does not stop the others. Durable when this returns."""
        with self._turn:
            self._store.begin()
            try:
                self._catch_up(self._book)
                answers, rows = self._do(asks)
                book = self._book
                if rows:
                    touched = dict.fromkeys((account, asset) for _, _, account, asset, _ in book.rows)
                    balances = [(a, s, book.balances.get((a, s), 0)) for a, s in touched]
                    self._store.append(rows, book.rows, balances)
                    book.rows = []
                    if book.seq - self._kept >= SNAPSHOT_EVERY:
                        self._store.keep_snapshot(book.seq, compact(book.state()))
                        self._kept = book.seq
                self._store.commit()
            except BaseException:
                self._start_again()
                raise
            return answers

    def _do(self, asks: Sequence[Ask]) -> tuple[list[dict | InputError], list[EventRow]]:
        book = self._book
        at = max(book.at, self._clock())
        answers: list[dict | InputError] = []
        rows: list[EventRow] = []
        fresh: dict[tuple[str, str], tuple[str, str]] = {}
        for ask in asks:
            digest = None
            try:
                if ask.key is not None:
                    digest = ask.digest()
                    place = (ask.actor, _checked(ask.key))
                    known = fresh.get(place) or self._store.known(*place)
                    if known is not None:
                        answers.append(_again(known, digest))
                        continue
                event = do(book, ask, at)
            except Already as already:
                answers.append({"kind": "already", **already.summary})
                continue
            except InputError as error:
                answers.append(error)
                continue
            body = compact(event)
            concerns = event["name"] if event["kind"] == "open" else event.get("market")
            rows.append(EventRow(event["seq"], at, event["kind"], ask.actor, ask.key, digest, concerns, body))
            if ask.key is not None and digest is not None:
                fresh[ask.actor, ask.key] = (digest, body)
            answers.append(event)
        return answers, rows

    def one(self, operation: str, key: str | None = None, **values: Any) -> dict:
        """`submit` for one ask: the event, or the InputError raised."""
        (answer,) = self.submit([Ask(operation, values, key)])
        if isinstance(answer, InputError):
            raise answer
        return answer

    def _start_again(self) -> None:
        try:
            self._store.rollback()
            self._book = self._read()
        except Exception:  # the connection is gone as well: a new one
            self._store = open_store(self.where)
            self._book = self._read()

    def close(self) -> None:
        """Write a snapshot, if there is something new, and let go."""
        with self._turn:
            self._store.begin()
            self._catch_up(self._book)
            if self._book.seq > self._kept:
                self._store.keep_snapshot(self._book.seq, compact(self._book.state()))
            self._store.commit()
            self._store.close()


def do(book: Book, ask: Ask, at: int) -> dict:
    """Decide on one ask and let its event happen to the book; returns the event. InputError: nothing has changed."""
    operation = OPERATIONS.get(ask.operation)
    if operation is None:
        raise InputError(f"there is no operation {ask.operation!r:.60}")
    try:
        event, prepared = operation(book, at=at, **ask.values)
    except TypeError:
        _explain(operation, ask)
        raise
    event = {"seq": book.seq + 1, "at": at, **event}
    apply(book, event, prepared)
    return event


def apply(book: Book, event: dict, prepared: Any) -> None:
    """Let an event happen; ``prepared`` is what deciding on it has computed, if it was decided just now."""
    if event["seq"] != book.seq + 1 or event["at"] < book.at:
        raise Broken(f"event {event['seq']} at {event['at']} cannot follow event {book.seq} at {book.at}")
    EFFECTS[event["kind"]](book, event, prepared)
    book.seq, book.at = event["seq"], event["at"]


def compact(value: Any) -> str:
    """JSON without spaces; integers and text alone, no number with a fraction."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _explain(operation: Operation, ask: Ask) -> None:
    try:
        inspect.signature(operation).bind(None, at=0, **ask.values)
    except TypeError as error:
        raise InputError(f"{ask.operation} does not take that: {error}") from None


def _checked(key: str) -> str:
    if not isinstance(key, str) or not 1 <= len(key) <= LONGEST_KEY:
        raise InputError(f"a key is a text of 1 to {LONGEST_KEY} characters")
    return key


def _again(known: tuple[str, str], digest: str) -> dict | InputError:
    if known[0] != digest:
        return Conflict("this key was used before, for something else: take a new key for each thing that you ask")
    return {**json.loads(known[1]), "again": True}
