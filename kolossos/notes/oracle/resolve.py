"""From tables to proposals: every market whose question the status history answers gets one, with its evidence."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolossos.errors import InputError
from kolossos.notes.ledger.book import AUDITOR, OPERATOR, SYSTEM, Book
from kolossos.notes.ledger.ledger import Ask, Ledger
from kolossos.notes.ledger.life import NO, NONE, YES
from kolossos.notes.ledger.market import HALTED, OPEN, PROPOSED, Market
from kolossos.notes.ledger.settle import CHALLENGE_WINDOW
from kolossos.notes.oracle.evidence import evidence, require_fresh
from kolossos.notes.oracle.questions import History, answer

if TYPE_CHECKING:
    from kolossos.notes.score.run import Scoring
    from kolossos.notes.tables.read import Tables


def histories(tables: "Tables") -> dict[int, History]:
    """The status history of each note in ``tables``."""
    columns = {
        "created": "createdAtMillis",
        "first": "firstNonNMRStatus",
        "first_at": "timestampMillisOfFirstNonNMRStatus",
        "latest": "mostRecentNonNMRStatus",
        "latest_at": "timestampMillisOfLatestNonNMRStatus",
        "locked": "lockedStatus",
        "locked_at": "timestampMillisOfStatusLock",
    }
    rows = tables.history.select("noteId", *columns.values()).iter_rows()
    return {row[0]: _history(dict(zip(columns, row[1:], strict=True))) for row in rows}


def _history(row: dict[str, Any]) -> History:
    def ms(value: float | None) -> int | None:
        return int(value) if value is not None and value > 0 else None

    return History(
        created=ms(row["created"]) or 0,
        first=row["first"] or None,
        first_at=ms(row["first_at"]),
        latest=row["latest"] or None,
        latest_at=ms(row["latest_at"]),
        locked=row["locked"] or None,
        locked_at=ms(row["locked_at"]),
    )


def outcome_of(market: Market, known: dict[int, History], now: int) -> str | None:
    """The outcome that ``known`` shows for a market's question as of ``now`` (ms); None if it does not yet.

    A joint market names notes as outcomes: the one that came true wins, "none" if none did and all are decided; of two
    that came true the one that did so first.
    """
    asked = market.question
    if asked.get("criterion") is None:
        return None
    if asked.get("note") is not None:
        history = known.get(int(asked["note"]))
        said = None if history is None else answer(asked["criterion"], history, now, asked.get("by"))
        return None if said is None else (YES if said else NO)
    notes = [name for name in market.outcomes if name.isdigit()]
    found = {name: known[int(name)] for name in notes if int(name) in known}
    said_of = {name: answer(asked["criterion"], h, now, asked.get("by")) for name, h in found.items()}
    true = [name for name, said in said_of.items() if said]
    if true:
        return min(true, key=lambda name: (found[name].first_at or 0, int(name)))
    decided = len(found) == len(notes) and all(said is False for said in said_of.values())
    return NONE if decided and NONE in market.outcomes else None


def propose_all(ledger: Ledger, tables: "Tables", scoring: "Scoring", by: str, now: int) -> list[dict | InputError]:
    """Propose the outcome of every market that the tables answer; what came of each."""
    known = histories(tables)
    inputs = [{"path": f.path, "sha256": f.sha256} for f in tables.files]
    status = dict(zip(scoring.world.notes.id_N.tolist(), scoring.final.status_N.tolist(), strict=True))
    intercept = dict(zip(scoring.world.notes.id_N.tolist(), scoring.core.columns["intercept"].tolist(), strict=True))
    asks = []
    require_fresh(evidence(inputs, int(scoring.world.now), "any", None), now)
    with ledger.reading() as book:
        for market in book.markets.values():
            outcome = outcome_of(market, known, int(scoring.world.now)) if market.state in (OPEN, HALTED) else None
            if outcome is None:
                continue
            note = int(market.question["note"] or (outcome if outcome.isdigit() else 0))
            stated = evidence(inputs, int(scoring.world.now), status.get(note, "none"), intercept.get(note))
            values = {"by": by, "market": market.name, "outcome": outcome, "evidence": stated}
            asks.append(Ask("propose", values))
    return ledger.submit(asks)


def propose_from(ledger: Ledger, folder: Path, by: str, moment: float | None) -> list[dict | InputError]:
    """Read and score the tables in ``folder``, then `propose_all`."""
    from kolossos.notes.score.prepare import prepare
    from kolossos.notes.score.run import score
    from kolossos.notes.tables.read import read_tables

    tables = read_tables(folder)
    with ledger.reading() as book:
        book.require(by, OPERATOR, AUDITOR)
        last = book.at
    scoring = score(prepare(tables, moment))
    return propose_all(ledger, tables, scoring, by, max(last, time.time_ns() // 1_000_000))


def due(book: Book, at: int, window: int = CHALLENGE_WINDOW) -> list[Ask]:
    """The proposals that nobody challenged in time: what makes them final."""
    return [
        Ask("settle", {"by": SYSTEM, "market": m.name, "outcome": m.outcomes[m.proposal["outcome"]], "window": window})
        for m in book.markets.values()
        if m.state == PROPOSED and m.proposal is not None and at - m.proposal["at"] >= window
    ]
