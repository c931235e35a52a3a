"""The ledger: what is said to have happened has happened once, sums hold, and the log alone tells everything."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from random_asks import RandomAsks

from kolossos.errors import InputError
from kolossos.notes.ledger.ledger import Ask, Conflict, Ledger
from kolossos.notes.ledger.store import SqliteStore, open_store
from kolossos.notes.ledger.verify import Found, verify

FORK = multiprocessing.get_context("fork")


def asked(where: str, seed: int, count: int, told=None) -> None:
    stream, ledger = RandomAsks(seed, name=f"{seed}x"), Ledger(where)
    while stream.count < count:
        with ledger.reading() as book:
            asks = stream.asks(book, stream.draw.choice([1, 5, 40]))
        for answer in ledger.submit(asks):
            if told is not None and isinstance(answer, dict) and "seq" in answer:
                told.value = answer["seq"]


def test_whatever_is_asked_the_invariants_hold_and_the_log_rebuilds_everything(where: str) -> None:
    asked(where, 1, 3_000)
    counted = verify(open_store(where))
    assert counted["events"] > 1_000
    assert counted["markets_ended"] > 5
    ledger = Ledger(where)
    ledger.close()  # leaves a snapshot
    again = Ledger(where)
    with again.reading() as book, ledger_from_events(where).reading() as rebuilt:
        assert book.state() == rebuilt.state()
    again.close()


def ledger_from_events(where: str) -> Ledger:
    ledger = Ledger.__new__(Ledger)
    store = open_store(where)
    store.begin()
    store.run("DELETE FROM snapshots")
    store.commit()
    ledger.__init__(where)
    return ledger


def test_processes_killed_at_any_moment_lose_nothing_they_were_told(where: str) -> None:
    told = [FORK.Value("q", 0, lock=False) for _ in range(6)]
    workers = [FORK.Process(target=asked, args=(where, 10 + i, 10**9, told[i])) for i in range(6)]
    for first, second in zip(workers[::2], workers[1::2], strict=True):
        first.start(), second.start()
        while min(told[workers.index(first)].value, told[workers.index(second)].value) < 200:
            assert first.is_alive()
            assert second.is_alive()
            first.join(0.02)
        for worker in (first, second):
            os.kill(worker.pid, signal.SIGKILL)
            worker.join()
    counted = verify(open_store(where))
    assert counted["events"] >= max(v.value for v in told)


def test_the_same_ask_sent_twice_is_done_once_and_another_with_its_key_is_refused(ledger: Ledger) -> None:
    opened(ledger)
    ask = Ask("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": 1000}, "k1")
    first, twice = ledger.submit([ask, ask])
    assert isinstance(first, dict)
    assert twice == {**first, "again": True}
    assert ledger.submit([ask])[0] == {**first, "again": True}
    other = Ask("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": 1001}, "k1")
    assert isinstance(ledger.submit([other])[0], Conflict)
    same_key_of_another = Ask("buy", {"user": "bob", "market": "m", "outcome": "yes", "units": 1000}, "k1")
    answer = ledger.submit([same_key_of_another])[0]
    assert isinstance(answer, dict)
    assert "again" not in answer


def test_an_ask_that_cannot_be_done_changes_nothing_and_stops_no_other(ledger: Ledger) -> None:
    opened(ledger)
    with ledger.reading() as book:
        before = json.dumps(book.state())
    bad = [
        ("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": 0.5}, "a whole number is needed"),
        ("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": -3}, "must lie between"),
        ("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": True}, "a whole number is needed"),
        ("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": 10**14}, "take fewer|micro-credits and this"),
        ("buy", {"user": "ann", "market": "m", "outcome": "yes"}, "either the units"),
        ("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": 5, "most": 0}, "more than the 0 stated"),
        ("buy", {"user": "nobody", "market": "m", "outcome": "yes", "units": 5}, "there is no account"),
        ("buy", {"user": "olga", "market": "m", "outcome": "yes", "units": 5}, "this needs the role"),
        ("buy", {"user": "ann", "market": "x", "outcome": "yes", "units": 5}, "there is no market"),
        ("buy", {"user": "ann", "market": "m", "outcome": "maybe", "units": 5}, "has no outcome"),
        ("buy", {"user": "ann", "market": "m", "outcome": "yes", "units": 5, "please": 1}, "does not take that"),
        ("sell", {"user": "ann", "market": "m", "outcome": "yes", "units": 5}, "holds 0 units"),
        ("redeem", {"user": "ann", "market": "m", "units": 5}, "holds 0 complete sets"),
        ("take", {"user": "ann", "market": "m", "outcome": "yes", "units": 5}, "use buy, sell"),
        ("cancel", {"user": "ann", "market": "m", "number": 5}, "no resting order"),
        ("settle", {"by": "ann", "market": "m", "outcome": "yes"}, "this needs the role operator"),
        ("settle", {"by": "system", "market": "m", "outcome": "yes"}, "propose the outcome first"),
        ("settle", {"by": "system", "market": "m", "mode": "somehow"}, "there is no way"),
        ("join", {"by": "system", "name": "treasury", "role": "bot"}, "is no name"),
        ("join", {"by": "system", "name": "a@m", "role": "bot"}, "is no name"),
        ("join", {"by": "system", "name": "ann", "role": "bot"}, "already"),
        ("join", {"by": "ann", "name": "eve", "role": "bot", "credits": 10**12}, "this needs the role operator"),
        ("grant", {"by": "bob", "to": "bob", "credits": 10**12}, "this needs the role operator"),
        ("mint", {}, "there is no operation"),
    ]
    good = Ask("buy", {"user": "ann", "market": "m", "outcome": "no", "units": 7})
    answers = ledger.submit([Ask(name, values) for name, values, _ in bad])
    for (name, _, expected), answer in zip(bad, answers, strict=True):
        assert isinstance(answer, InputError), name
        with pytest.raises(InputError, match=expected):
            raise answer
    with ledger.reading() as book:
        assert json.dumps(book.state()) == before
    assert isinstance(ledger.submit([Ask(*bad[0][:2]), good, Ask(*bad[1][:2])])[1], dict)


def opened(ledger: Ledger, **more) -> None:
    stated = {"by": "olga", "name": "m", "question": {"note": "1"}, "closes": 1_800_000_000_000, "b": 10**7}
    ledger.one("open", **{**stated, **more})


def credits(ledger: Ledger, *names: str) -> list[int]:
    with ledger.reading() as book:
        return [book.balance(name) for name in names]


def test_a_void_market_gives_everybody_exactly_what_they_paid_gainers_and_losers(ledger: Ledger) -> None:
    opened(ledger)
    before = credits(ledger, "ann", "bob", "treasury")
    ledger.one("buy", user="ann", market="m", outcome="yes", units=5_000_000)
    ledger.one("buy", user="bob", market="m", outcome="yes", units=20_000_000)
    ledger.one("sell", user="ann", market="m", outcome="yes", units=5_000_000)  # with a gain
    assert credits(ledger, "ann")[0] == before[0]  # the gain waits in the market
    with ledger.reading() as book:
        assert book.balance("ann@m") > 1_000_000
    ledger.one("buy", user="ann", market="m", outcome="no", units=1_000_000)  # paid out of the gain
    assert credits(ledger, "ann")[0] == before[0]
    fund = ledger.one("settle", by="olga", market="m", mode="refund")["ended"]["fund"]
    assert credits(ledger, "ann", "bob", "treasury") == [*before[:2], before[2] + fund]


def test_a_market_is_ended_once_and_again_is_the_same_answer(ledger: Ledger) -> None:
    opened(ledger)
    ledger.one("buy", user="ann", market="m", outcome="yes", units=5_000_000)
    ledger.one("settle", by="olga", market="m", outcome="yes", why="seen")
    after = credits(ledger, "ann", "bob", "treasury")
    assert ledger.one("settle", by="olga", market="m", outcome="yes", why="seen")["kind"] == "already"
    with pytest.raises(InputError, match="is over"):
        ledger.one("settle", by="olga", market="m", outcome="no", why="seen")
    with pytest.raises(InputError, match="is over"):
        ledger.one("buy", user="ann", market="m", outcome="yes", units=1)
    with pytest.raises(InputError, match="already"):
        opened(ledger)
    assert credits(ledger, "ann", "bob", "treasury") == after


def test_nobody_paid_and_the_average_price_leave_no_credit_without_an_owner(ledger: Ledger, clock) -> None:
    for mode in ("nobody", "average"):
        opened(ledger, name=mode)
        ledger.one("buy", user="ann", market=mode, outcome="yes", units=9_000_000)
        clock.ms += 3_600_000
        ledger.one("sell", user="ann", market=mode, outcome="yes", units=1_000_000)
        ended = ledger.one("settle", by="olga", market=mode, mode=mode)["ended"]
        assert ended["paid"] == (0 if mode == "nobody" else 8_000_000 * ledger_rate(ledger, mode) // 1_000_000)
    with ledger.reading() as book:
        assert sum(amount for (_, asset), amount in book.balances.items() if asset == "credits") == 0
        assert not [place for place in book.balances if place[1] != "credits"]


def ledger_rate(ledger: Ledger, market: str) -> int:
    (event,) = ledger.market_events(market, ("settle",))
    return event["rates_ppm"][0]


def test_a_candidate_that_comes_late_moves_no_price_and_no_claim_and_one_withdrawn_has_lost(ledger: Ledger) -> None:
    opened(ledger, name="post", outcomes=["none", "a", "b"])
    ledger.one("buy", user="ann", market="post", outcome="none", units=3_000_000)
    ledger.one("buy", user="bob", market="post", outcome="a", units=2_000_000, against=True)
    with ledger.reading() as book:
        before = dict(zip(book.market("post").outcomes, book.market("post").maker.prices_ppm(), strict=True))
    ledger.one("add", by="olga", market="post", name="c", share_ppm=300_000)
    with ledger.reading() as book:
        market = book.market("post")
        after = dict(zip(market.outcomes, market.maker.prices_ppm(), strict=True))
        assert [abs(after[o] - before[o]) <= 1 for o in ("a", "b")] == [True, True]
        assert abs(after["none"] + after["c"] - before["none"]) <= 2
        assert book.balance("ann", market.share(3)) == 3_000_000
    ledger.one("withdraw", by="olga", market="post", outcome="b")
    with pytest.raises(InputError, match="withdrawn"):
        ledger.one("settle", by="olga", market="post", outcome="b", why="?")
    ledger.one("settle", by="olga", market="post", outcome="c", why="seen")
    counted = verify(ledger._store)
    assert counted["markets_ended"] == 1


def test_a_proposal_becomes_final_by_time_unless_it_is_challenged(ledger: Ledger, clock) -> None:
    for name in ("m", "n"):
        opened(ledger, name=name)
        ledger.one("propose", by="axel", market=name, outcome="yes", evidence={"snapshot": "1"})
        with pytest.raises(InputError, match="is proposed"):
            ledger.one("buy", user="ann", market=name, outcome="yes", units=1)
    with pytest.raises(InputError, match="can still be challenged"):
        ledger.one("settle", by="system", market="m", outcome="yes")
    with pytest.raises(InputError, match="yes was proposed"):
        ledger.one("settle", by="system", market="m", outcome="no")
    ledger.one("challenge", by="axel", market="n", why="the scorer was another one")
    clock.ms += 7 * 3_600_000
    assert ledger.one("settle", by="system", market="m", outcome="yes")["ended"]["state"] == "final"
    with pytest.raises(InputError, match="was challenged"):
        ledger.one("settle", by="system", market="n", outcome="yes")
    assert ledger.one("settle", by="olga", market="n", outcome="no", why="looked at")["ended"]["outcome"] == "no"


def test_orders_rest_fill_and_return_and_a_pool_that_ends_pays_both_sides(ledger: Ledger) -> None:
    opened(ledger, b=None, funding=10_000_000)
    before = credits(ledger, "ann", "bob")
    resting = ledger.one("order", user="ann", market="m", outcome="yes", units=2_000_000, price_ppm=400_000)
    assert credits(ledger, "ann")[0] == before[0] - 800_000
    with pytest.raises(InputError, match="not theirs"):
        ledger.one("cancel", user="bob", market="m", number=resting["seq"])
    met = ledger.one("take", user="bob", market="m", outcome="no", units=30_000_000)
    assert met["filled"] == [[resting["seq"], "ann", 2_000_000, 800_000]]
    ledger.one("order", user="ann", market="m", outcome="yes", units=1_000_000, price_ppm=1_000)
    ended = ledger.one("settle", by="olga", market="m", outcome="yes", why="seen")["ended"]
    assert ended["paid"] == 2_000_000
    assert credits(ledger, "ann")[0] == before[0] - 800_000 + 2_000_000
    assert credits(ledger, "bob")[0] == before[1] - met["amount"]


def test_a_program_that_posts_wrongly_is_stopped_by_the_book_and_by_the_database(ledger: Ledger) -> None:
    from kolossos.notes.ledger.book import Broken

    with ledger.reading() as book:
        with pytest.raises(Broken, match="do not sum to zero"):
            book.post([("ann", "credits", 5), ("bob", "credits", -4)])
        with pytest.raises(Broken, match="would have"):
            book.post([("ann", "credits", 10**15), ("bob", "credits", -(10**15))])
    store = ledger._store
    store.begin()
    with pytest.raises(Exception, match=r"CHECK|check"):
        store.append([], [], [("ann", "credits", -1)])
    store.rollback()


def test_a_record_that_was_tampered_with_is_found(tmp_path: Path) -> None:
    for statement, found in (
        (
            "UPDATE balances SET amount = amount + 1 WHERE account = (SELECT MAX(account) FROM balances)",
            "the record says",
        ),
        ("DELETE FROM postings WHERE seq = 100", "postings on record"),
        ("INSERT INTO postings VALUES (50000, 0, 'ann', 'credits', 5)", "no event made"),
        ("UPDATE events SET body = replace(body, '\"units\":', '\"units\":1') WHERE kind = 'buy'", "event"),
    ):
        where = str(tmp_path / f"{hash(statement)}.db")
        asked(where, 3, 600)
        store = SqliteStore(Path(where))
        verify(store)
        store.begin()
        store.run(statement)
        store.commit()
        with pytest.raises(Found, match=found):
            verify(store)


def test_a_file_that_is_no_ledger_and_a_database_that_is_not_there_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no database at all" * 50)
    with pytest.raises(InputError, match="cannot be used as a ledger"):
        Ledger(tmp_path / "text")
    pytest.importorskip("psycopg")
    with pytest.raises(InputError, match=r"^postgresql://127.0.0.1/x cannot be used as a ledger") as error:
        Ledger("postgresql://me:secret@127.0.0.1:1/x?connect_timeout=2")
    assert "secret" not in str(error.value)


def spend_everything(where: str, name: str) -> None:
    ledger = Ledger(where)
    for i in range(40):
        ledger.submit(
            [Ask("buy", {"user": "ann", "market": "m", "outcome": "yes", "budget": 90_000_000}, f"{name}{i}")]
        )


def test_a_balance_cannot_be_spent_twice_by_two_servers_at_once(where: str) -> None:
    ledger = Ledger(where)
    ledger.one("grant", by="system", to="treasury", credits=10**12)
    ledger.one("join", by="system", name="ann", role="bot", credits=10**9)
    ledger.one("open", by="system", name="m", question={}, closes=2**53, b=10**8)
    workers = [FORK.Process(target=spend_everything, args=(where, f"{i}-")) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with ledger.reading() as book:
        assert 0 <= book.balance("ann") < 90_000_000
        assert book.markets["m"].net["ann"] == 10**9 - book.balance("ann")
        assert book.markets["m"].trades == 11
    verify(open_store(where))


def test_the_last_unit_can_be_sold_and_an_outcome_that_nobody_holds_can_win(ledger: Ledger) -> None:
    opened(ledger)
    ledger.one("buy", user="ann", market="m", outcome="yes", units=3_000_001)
    ledger.one("sell", user="ann", market="m", outcome="yes", units=3_000_000)
    assert ledger.one("sell", user="ann", market="m", outcome="yes", units=1)["amount"] <= 0
    ended = ledger.one("settle", by="olga", market="m", outcome="no", why="seen")["ended"]
    assert ended["paid"] == 0
    assert ended["loss"] <= 0  # what rounding took is the maker's
    verify(ledger._store)
