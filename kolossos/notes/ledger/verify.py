"""The whole log read again from its first event, and everything that must hold looked at after each."""

import json
from collections.abc import Callable, Iterator

from kolossos.notes.ledger.book import MINT, Book, Broken
from kolossos.notes.ledger.ledger import Recorded, apply
from kolossos.notes.ledger.market import CREDITS, REFUND
from kolossos.notes.ledger.store import Store
from kolossos.notes.ledger.trading import escrow_covers


class Found(Exception):
    """Something that must hold does not."""


def verify(store: Store, progress: Callable[[int], None] | None = None) -> dict:
    """Read the log of ``store`` from the beginning and compare; returns what was counted. Found: the first violation.

    Held after every event: its postings are those on record and sum to zero in each asset; nobody is below zero; the
    escrow of the market concerned covers every outcome; a market that ended has cost its maker no more than its fund,
    and a void one has given everybody what they paid. At the end: the balances on record and those of the state that a
    program starts from are those of the log.
    """
    book = Recorded()
    counted = {"events": 0, "postings": 0, "markets_ended": 0}
    recorded = _postings(store)
    for row in store.events_after(0):
        event = json.loads(row.body)
        nets = _nets(book, event)
        try:
            apply(book, event, None)
        except Broken as fault:
            raise Found(f"event {row.seq}: {fault}") from None
        for expected in book.rows:
            if next(recorded, None) != expected:
                raise Found(f"event {row.seq}: the postings on record are not those that the event makes ({expected})")
        _market_holds(book, event, nets)
        counted["events"] += 1
        counted["postings"] += len(book.rows)
        counted["markets_ended"] += event["kind"] == "settle"
        book.rows.clear()
        if progress and counted["events"] % 10_000 == 0:
            progress(counted["events"])
    if (more := next(recorded, None)) is not None:
        raise Found(f"there are postings that no event made: {more}")
    _balances_hold(book, store)
    snapshot = store.snapshot()
    if snapshot is not None:
        _snapshot_holds(book, store, *snapshot)
    counted["credits"] = -book.balance(MINT)
    return counted


def _postings(store: Store) -> Iterator[tuple]:
    after = 0
    while True:
        last = store.run(
            "SELECT MAX(seq) FROM (SELECT seq FROM events WHERE seq > ? ORDER BY seq LIMIT 5000) AS s", (after,)
        )
        if last[0][0] is None:
            yield from store.run("SELECT seq, place, account, asset, amount FROM postings WHERE seq > ?", (after,))
            return
        rows = store.run(
            "SELECT seq, place, account, asset, amount FROM postings WHERE seq > ? AND seq <= ? ORDER BY seq, place",
            (after, last[0][0]),
        )
        yield from rows
        after = last[0][0]


def _nets(book: Book, event: dict) -> dict[str, tuple[int, int]] | None:
    """Before a refund: what everybody has outside of the market, and has paid into it."""
    if event["kind"] != "settle" or event["mode"] != REFUND:
        return None
    market = book.markets[event["market"]]
    return {user: (book.balance(user), net) for user, net in market.net.items()}


def _market_holds(book: Book, event: dict, nets: dict[str, tuple[int, int]] | None) -> None:
    name = event.get("market", event.get("name"))
    market = book.markets.get(name) if isinstance(name, str) else None
    if market is not None and not escrow_covers(book, market):
        raise Found(f"event {event['seq']}: the escrow of market {name} does not cover every outcome")
    if event["kind"] == "settle" and event["ended"]["loss"] > event["ended"]["fund"]:
        raise Found(f"event {event['seq']}: market {name} cost its maker more than its fund")
    for user, (had, net) in (nets or {}).items():
        back = book.balance(user) - had
        if back != max(net, 0):  # a gain that was held is undone, not paid
            raise Found(f"event {event['seq']}: {user} paid {net} into void market {name} and got {back} back")


def _balances_hold(book: Book, store: Store) -> None:
    on_record = {(a, s): amount for a, s, amount in store.run("SELECT account, asset, amount FROM balances") if amount}
    summed = {
        (a, s): int(amount)
        for a, s, amount in store.run("SELECT account, asset, SUM(amount) FROM postings GROUP BY account, asset")
        if amount
    }
    rebuilt = {place: amount for place, amount in book.balances.items() if amount}
    if not on_record == summed == rebuilt:
        places = {*on_record, *summed, *rebuilt}
        place = next(p for p in sorted(places) if not on_record.get(p) == summed.get(p) == rebuilt.get(p))
        raise Found(
            f"{place[0]}, {place[1]}: the record says {on_record.get(place, 0)}, the postings {summed.get(place, 0)}, "
            f"the events {rebuilt.get(place, 0)}"
        )
    if sum(amount for (_, asset), amount in rebuilt.items() if asset == CREDITS):
        raise Found("the credits of the world do not sum to zero with the mint's")


def _snapshot_holds(book: Book, store: Store, seq: int, body: str) -> None:
    started = Book.restored(json.loads(body))
    if started.seq != seq:
        raise Found(f"the snapshot of event {seq} says that it is of event {started.seq}")
    for row in store.events_after(seq):
        apply(started, json.loads(row.body), None)
    if started.state() != book.state():
        raise Found(f"the state begun from the snapshot at event {seq} is not the one that the log makes")
