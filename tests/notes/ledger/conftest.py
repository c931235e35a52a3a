"""Ledgers in a file and, where its programs are installed, in a PostgreSQL that is started for the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kolossos.notes.ledger.ledger import Ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The place of a new ledger."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return request.getfixturevalue("postgres").url + "#" + "".join(c for c in tmp_path.name if c.isalnum())


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """A ledger with a treasury, an operator, an auditor and two bots, ann and bob, with 1,000 credits each."""
    made = Ledger(tmp_path / "ledger.db", clock)
    made.one("grant", by="system", to="treasury", credits=10**12)
    for name, role in (("olga", "operator"), ("axel", "auditor"), ("ann", "bot"), ("bob", "rater")):
        made.one("join", by="system", name=name, role=role, credits=0 if role in ("operator", "auditor") else 10**9)
    yield made
    made.close()
