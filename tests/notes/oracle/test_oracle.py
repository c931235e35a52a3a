"""Questions answered from a history or not at all; evidence that is whole and fresh; audits that nobody steers."""

from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.notes.ledger.ledger import Ledger
from kolossos.notes.oracle.audits import chance_ppm, commitment, draw, drawn, require_seed
from kolossos.notes.oracle.evidence import evidence, require_fresh, snapshot_hash
from kolossos.notes.oracle.questions import (
    EVER_HELPFUL,
    HELPFUL_AT_LOCK,
    HELPFUL_BY,
    LOCK_AFTER,
    History,
    answer,
    question,
)
from kolossos.notes.oracle.resolve import due, histories, propose_from
from kolossos.notes.score.columns import CRH, CRNH, NMR
from kolossos.notes.tables.read import Tables

CREATED = 1_700_000_000_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("criterion", "history", "after", "by", "expected"),
    [
        (EVER_HELPFUL, {}, HOUR, None, None),
        (EVER_HELPFUL, {}, LOCK_AFTER, None, False),
        (EVER_HELPFUL, {"first": CRH}, HOUR, None, True),
        (EVER_HELPFUL, {"first": CRNH, "latest": CRH}, HOUR, None, False),
        (HELPFUL_AT_LOCK, {"first": CRH, "latest": CRH}, LOCK_AFTER + HOUR, None, None),
        (HELPFUL_AT_LOCK, {"locked": CRH}, LOCK_AFTER + HOUR, None, True),
        (HELPFUL_AT_LOCK, {"locked": NMR}, LOCK_AFTER + HOUR, None, False),
        (HELPFUL_BY, {"first": CRH, "first_at": HOUR}, HOUR, 2 * HOUR, True),
        (HELPFUL_BY, {"first": CRH, "first_at": 3 * HOUR, "latest": CRH}, 4 * HOUR, 2 * HOUR, False),
        (HELPFUL_BY, {}, HOUR, 2 * HOUR, None),
        (HELPFUL_BY, {}, 3 * HOUR, 2 * HOUR, False),
        # first Not Helpful, later Helpful after the time: in between it may have been Helpful, which no history tells
        (HELPFUL_BY, {"first": CRNH, "first_at": HOUR, "latest": CRH, "latest_at": 5 * HOUR}, 6 * HOUR, 2 * HOUR, None),
    ],
)  # fmt: skip
def test_a_history_answers_what_it_can(criterion, history, after, by, expected) -> None:
    times = {name: CREATED + value for name, value in history.items() if name.endswith("_at")}
    known = History(CREATED, **{**history, **times})
    assert answer(criterion, known, CREATED + after, None if by is None else CREATED + by) is expected


def test_questions_that_cannot_be_asked_are_one_line() -> None:
    assert question(EVER_HELPFUL, "12", post_text="x")["note"] == "12"
    for arguments, expected in (
        (("NEVER",), "no criterion"),
        ((HELPFUL_BY, "1"), "needs a time"),
        ((EVER_HELPFUL, "1", 5), "no other criterion takes one"),
        ((EVER_HELPFUL, "one"), "is no note"),
    ):
        with pytest.raises(InputError, match=expected):
            question(*arguments)
    with pytest.raises(InputError, match="at most 10,000 characters"):
        question(EVER_HELPFUL, "1", note_text="n" * 10**6)


def test_evidence_names_its_tables_and_old_tables_are_refused() -> None:
    inputs = [{"path": "a/notes.tsv", "sha256": "11"}, {"path": "a/ratings.tsv", "sha256": "22"}]
    made = evidence(inputs, CREATED, CRH, 0.4321)
    assert made["intercept_micro"] == 432_100
    assert made["margin_micro"] == 32_100
    assert made["snapshot"] == snapshot_hash(inputs[::-1]) != snapshot_hash(inputs[:1])
    require_fresh(made, CREATED + HOUR)
    with pytest.raises(InputError, match="hours old"):
        require_fresh(made, CREATED + 100 * HOUR)
    with pytest.raises(InputError, match="not a time before now"):
        require_fresh(made, CREATED - 1)
    with pytest.raises(InputError, match="names snapshot, scorer"):
        require_fresh({"at": CREATED, "status": CRH}, CREATED)


def test_audits_are_drawn_by_a_seed_that_was_fixed_before_and_more_often_where_more_was_bet() -> None:
    seed = b"sixteen bytes at least"
    published = commitment(seed)
    require_seed(seed, published)
    with pytest.raises(InputError, match="not the seed"):
        require_seed(b"another seed of bytes", published)
    quiet, busy = chance_ppm(0, 50_000, 10**8), chance_ppm(5 * 10**7, 50_000, 10**8)
    assert (quiet, chance_ppm(10**9, 50_000, 10**8)) == (50_000, 1_000_000)
    names = [f"m{i}" for i in range(4_000)]
    for chance in (quiet, busy):
        share = sum(drawn(seed, name, chance) for name in names) / len(names)
        assert abs(share - chance / 1e6) < 0.03
    assert all(drawn(seed, name, busy) for name in names if drawn(seed, name, quiet))


def test_tables_settle_the_markets_that_they_answer(tables: Tables, world_folder: Path, tmp_path: Path) -> None:
    known = {note: h for note, h in histories(tables).items() if h.first in (CRH, CRNH)}
    helpful = [note for note, h in known.items() if h.first == CRH][:3]
    unhelpful = [note for note, h in known.items() if h.first == CRNH][:3]
    moment = max(tables.ratings["createdAtMillis"].max(), tables.notes["createdAtMillis"].max())  # type: ignore[type-var]
    ledger = Ledger(tmp_path / "l.db", lambda: int(moment) + HOUR)
    ledger.one("grant", by="system", to="treasury", credits=10**12)
    ledger.one("join", by="system", name="axel", role="auditor")
    for note in helpful + unhelpful:
        asked = question(EVER_HELPFUL, str(note))
        ledger.one("open", by="system", name=f"n{note}", question=asked, closes=2**52, b=10**6)
    import kolossos.notes.oracle.resolve as resolve

    class Then:
        @staticmethod
        def time_ns() -> int:
            return (int(moment) + HOUR) * 1_000_000

    real, resolve.time = resolve.time, Then  # type: ignore[assignment]
    try:
        answers = propose_from(ledger, world_folder, "axel", None)
    finally:
        resolve.time = real
    assert len(answers) == len(helpful + unhelpful)
    with ledger.reading() as book:
        asks = due(book, int(moment) + 8 * HOUR)
    assert {a.values["market"]: a.values["outcome"] for a in asks} == {
        **{f"n{note}": "yes" for note in helpful},
        **{f"n{note}": "no" for note in unhelpful},
    }
    ledger.close()


def test_markets_without_a_verdict_are_drawn_as_was_published_and_the_others_end(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from kolossos.cli.notes import app

    where, seed, now = tmp_path / "l.db", tmp_path / "seed", [CREATED]
    ledger = Ledger(where, lambda: now[0])
    ledger.one("grant", by="system", to="treasury", credits=10**12)
    ledger.one("join", by="system", name="operator", role="operator")
    ledger.one("join", by="system", name="ann", role="bot", credits=10**12)
    ledger.one("open", by="system", name="early", question={}, closes=CREATED + 2, b=10**6)
    rules = {"commitment": commitment(b"s" * 16), "least_ppm": 100_000, "volume_for_all": 50_000_000, "mode": "refund"}
    with pytest.raises(InputError, match="no audits were planned"):
        draw(ledger, b"s" * 16, "operator")
    ledger.one("plan_audits", by="operator", **rules)
    now[0] += 1
    for i in range(200):
        ledger.one("open", by="system", name=f"m{i}", question={}, closes=CREATED + HOUR, b=10**6)
        if i < 100:
            ledger.one("buy", user="ann", market=f"m{i}", outcome="yes", budget=25_000_000)
    now[0] += 2 * HOUR
    with pytest.raises(InputError, match="not the seed"):
        draw(ledger, b"t" * 16, "operator")
    chosen, others = draw(ledger, b"s" * 16, "operator")
    assert len(chosen) + len(others) == 200  # the early one does not take part
    busy = sum(int(name[1:]) < 100 for name in chosen)
    assert 35 < busy < 75  # 55 % by their volume
    assert 2 < len(chosen) - busy < 22  # 10 %
    with ledger.reading() as book:
        assert {book.markets[name].state for name in chosen} == {"halted"}
        paid = sum(book.markets[name].net.get("ann", 0) for name in chosen)
        assert book.balance("ann") == 10**12 - paid
    assert draw(ledger, b"s" * 16, "operator") == (chosen, [])
    ledger.close()
    run = CliRunner().invoke(app, ["audit", "--plan", "--seed", str(seed), "--ledger", str(where)])
    assert run.exit_code == 0, run.output
    assert commitment(seed.read_bytes()) in run.stdout
    assert seed.stat().st_mode & 0o077 == 0
