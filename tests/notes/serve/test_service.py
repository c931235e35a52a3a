"""The service: a market's whole life over HTTP, and every bad client answered in one line."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.notes.decide import Policy
from kolossos.notes.ledger.store import open_store
from kolossos.notes.ledger.verify import verify

DAY = 86_400_000
JSON = {"Content-Type": "application/json"}


def test_a_market_lives_from_opening_to_payment(service) -> None:
    olga, ann, bob = service.client("olga"), service.client("ann"), service.client("bob")
    service.open("n1", post_text="The moon is cheese", note_text="It is rock")
    bought = ann.post("/v1/markets/n1/trades", json={"do": "buy", "outcome": "yes", "budget": 3_000_000}).json()
    assert 0 < bought["amount"] <= 3_000_000
    assert bob.post("/v1/markets/n1/trades", json={"do": "buy", "outcome": "no", "units": 10**6}).status_code == 200
    whole = service.client().get("/v1/markets/n1").json()
    assert [p["name"] for p in whole["people_in_it"]] == ["ann", "bob"]
    assert whole["people_in_it"][0]["units"] == {"yes": bought["units"]}
    assert len(service.client().get("/v1/markets/n1/events").json()) == 2
    assert ann.get("/v1/me").json()["markets"][0]["units"] == {"yes": bought["units"]}
    stated = {"outcome": "yes", "snapshot": "ab", "scorer": "x", "status": "CURRENTLY_RATED_HELPFUL"}
    stale = service.client("axel").post("/v1/markets/n1/propose", json={**stated, "at": whole["opened"] - 9 * DAY})
    assert stale.status_code == 400
    assert "hours old" in stale.json()["error"]["message"]
    proposed = service.client("axel").post("/v1/markets/n1/propose", json={**stated, "at": whole["opened"] - 1000})
    assert proposed.status_code == 200
    assert olga.post("/v1/markets/n1/settle", json={"outcome": "yes", "why": "seen"}).json()["ended"]["paid"] > 0
    assert ann.get("/v1/me").json()["credits"] == 10**9 - bought["amount"] + bought["units"]
    assert service.client().get("/v1/markets/n1").json()["state"] == "final"
    assert service.client().get("/v1/markets?state=final").json()[0]["name"] == "n1"
    assert service.client().get("/v1/markets?search=cheese").json()[0]["name"] == "n1"


def test_a_joint_market_and_a_pool_trade_over_http(service) -> None:
    ann, bob, olga = service.client("ann"), service.client("bob"), service.client("olga")
    service.open("post", note=None, post="9", outcomes=["none", "101"])
    assert olga.post("/v1/markets/post/candidates", json={"name": "102", "share_ppm": 500_000}).status_code == 200
    against = ann.post("/v1/markets/post/trades", json={"do": "against", "outcome": "101", "units": 10**6})
    assert against.json()["kind"] == "against"
    prices = service.client().get("/v1/markets/post").json()["prices_ppm"]
    assert abs(sum(prices) - 10**6) <= 3
    service.open("pool", funding=10**7)
    order = ann.post(
        "/v1/markets/pool/trades", json={"do": "order", "outcome": "yes", "units": 10**6, "price_ppm": 300_000}
    )
    number = order.json()["seq"]
    assert service.client().get("/v1/markets/pool").json()["orders"][0]["number"] == number
    assert bob.delete(f"/v1/markets/pool/orders/{number}").status_code == 400
    assert ann.delete(f"/v1/markets/pool/orders/{number}").status_code == 200
    assert bob.post("/v1/markets/pool/trades", json={"do": "take", "outcome": "no", "budget": 10**6}).status_code == 200


def test_bad_clients_get_one_line_and_nothing_is_lost(service) -> None:
    service.open("n1")
    ann, nobody = service.client("ann"), service.client()
    olga, market = service.client("olga"), {"name": "x", "note": "1", "b": 9}
    trade = {"do": "buy", "outcome": "yes", "units": 1000}
    cases = [
        (nobody.post("/v1/markets/n1/trades", json=trade), 401, "a key is needed"),
        (nobody.get("/v1/me", headers={"Authorization": "Bearer kn-wrong"}), 401, "not known"),
        (nobody.get("/v1/markets", headers={"Authorization": "Basic YTpi"}), 401, "not known"),
        (ann.post("/v1/markets/n1/trades", json={**trade, "units": 0.5}), 400, "units"),
        (ann.post("/v1/markets/n1/trades", json={**trade, "units": -5}), 400, "must lie between"),
        (ann.post("/v1/markets/n1/trades", json={**trade, "units": "5"}), 400, "units"),
        (ann.post("/v1/markets/n1/trades", json={**trade, "units": 10**30}), 400, "units|must lie"),
        (ann.post("/v1/markets/n1/trades", json={**trade, "extra": 1}), 400, "extra"),
        (ann.post("/v1/markets/n1/trades", json={**trade, "do": "steal"}), 400, "do"),
        (ann.post("/v1/markets/n1/trades", content=b"{", headers=JSON), 400, "JSON"),
        (ann.post("/v1/markets/n1/trades", content=b"[" * 60_000, headers=JSON), 400, "parsing"),
        (ann.post("/v1/markets/n1/trades", content=b"\xff\xfe", headers=JSON), 400, "."),
        (ann.post("/v1/markets/n1/trades", json={**trade, "outcome": "x" * 61}), 400, "outcome"),
        (ann.post("/v1/markets/n2/trades", json=trade), 404, "there is no market"),
        (ann.post("/v1/markets", json={"name": "x", "note": "1", "b": 1}), 400, "needs the role operator"),
        (ann.post("/v1/people", json={"name": "eve", "role": "bot", "credits": 10**12}), 400, "needs the role"),
        (ann.post("/v1/markets/n1/settle", json={"mode": "nobody"}), 400, "needs the role operator"),
        (ann.get("/v1/treasury"), 400, "needs the role operator"),
        (ann.get("/v1/markets?limit=0"), 400, "limit"),
        (ann.get("/nothing"), 404, "Not Found"),
        (olga.post("/v1/markets", json={**market, "note_text": "n" * 10_001}), 400, "note_text"),
        (olga.post("/v1/markets", json={**market, "note_text": "n" * 10**6}), 413, "bytes"),
        (olga.post("/v1/markets", json={**market, "note": "one"}), 400, "is no note"),
        (olga.post("/v1/markets", json={**market, "name": "../x"}), 400, "is no name"),
        (olga.delete("/v1/people/olga"), 400, "nobody closes"),
    ]  # fmt: skip
    for answer, status, expected in cases:
        assert answer.status_code == status, answer.text
        message = answer.json()["error"]["message"]
        assert "\n" not in message
        assert len(message) <= 500
        with pytest.raises(InputError, match=expected):
            raise InputError(message)
    assert ann.get("/v1/me").json()["credits"] == 10**9
    verify(open_store(service.where))


def test_a_request_sent_again_is_done_once_and_a_market_closed_under_a_trade_says_so(service) -> None:
    service.open("n1")
    ann = service.client("ann")
    trade, key = {"do": "buy", "outcome": "yes", "units": 1000}, {"Idempotency-Key": "a"}
    first = ann.post("/v1/markets/n1/trades", json=trade, headers=key).json()
    assert ann.post("/v1/markets/n1/trades", json=trade, headers=key).json() == {**first, "again": True}
    assert ann.post("/v1/markets/n1/trades", json={**trade, "units": 1}, headers=key).status_code == 409
    service.client("axel").post("/v1/markets/n1/halt", json={"why": "a look"})
    halted = ann.post("/v1/markets/n1/trades", json=trade)
    assert halted.status_code == 400
    assert "is halted" in halted.json()["error"]["message"]
    assert ann.post("/v1/markets/n1/trades", json=trade, headers=key).json()["again"]


def test_many_clients_at_once_spend_no_credit_twice(service) -> None:
    for i in range(4):
        service.open(f"n{i}")

    def spend(i: int) -> int:
        with service.client("ann") as ann:
            body = {"do": "buy", "outcome": "yes", "budget": 90_000_000}
            return ann.post(f"/v1/markets/n{i % 4}/trades", json=body).status_code

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(spend, range(48)))
    assert sorted(set(statuses)) == [200, 400]
    assert statuses.count(200) == 11
    assert 0 <= service.client("ann").get("/v1/me").json()["credits"] < 90_000_000
    verify(open_store(service.where))


def test_listeners_hear_every_event_once_also_after_they_were_away(service) -> None:
    service.open("n1")
    ann, heard, ready = service.client("ann"), [], threading.Event()

    def listen(after: int | None) -> None:
        with (
            service.client() as nobody,
            nobody.stream("GET", "/v1/events", params={"after": after} if after else {}) as answer,
        ):
            for line in answer.iter_lines():
                ready.set()
                if line.startswith("data: "):
                    heard.append(json.loads(line[6:]))
                    if heard[-1].get("units") == 7:
                        return

    thread = threading.Thread(target=listen, args=(None,))
    thread.start()
    ready.wait(10)
    for units in (1, 2, 3, 7):
        ann.post("/v1/markets/n1/trades", json={"do": "buy", "outcome": "yes", "units": units})
    thread.join(20)
    assert [e["units"] for e in heard if e["kind"] == "buy"] == [1, 2, 3, 7]
    last = heard[1]["seq"]
    heard.clear()
    listen(last)
    assert [e["seq"] for e in heard] == [last + 1, last + 2]
    heard.clear()
    listen(1)
    joins = [e for e in heard if e["kind"] == "join"]
    assert joins
    assert not any("key_sha256" in e for e in joins)


def test_opened_wider_nothing_is_told_without_a_key_and_rates_are_limited(start) -> None:
    service = start(reading_needs_key=True, per_second=0.001, burst=3)
    nobody, ann = service.client(), service.client("ann")
    for path in ("/v1/markets", "/v1/figures", "/v1/events", "/v1/standings", "/v1/worth-rating"):
        assert nobody.get(path).status_code == 401
    assert nobody.get("/").status_code == 200
    assert [ann.get("/v1/figures").status_code for _ in range(4)] == [200, 200, 200, 429]
    limited = ann.get("/v1/figures")
    assert int(limited.headers["Retry-After"]) > 1


def test_a_note_is_shown_while_its_price_stands_and_taken_down_when_it_falls(start) -> None:
    from kolossos.notes.serve.clerk import Clerk
    from kolossos.notes.serve.desk import Desk

    service = start()
    service.stop()
    from kolossos.notes.ledger.ledger import Ledger

    now = [1_900_000_000_000]
    desk = Desk(Ledger(service.where, lambda: now[0]))
    policy = Policy(holdout_ppm=0, age=0)
    clerk = Clerk(desk, policy)
    desk.call("open", by="system", name="n", question={"note": "5"}, closes=2**53 - 1, b=10**6)
    from kolossos.notes.serve.clerk import decisions

    def shown(minutes: int) -> bool | None:
        now[0] += minutes * 60_000
        with desk.ledger.reading() as book:
            asks = decisions(book, now[0], policy)
        for ask in asks:
            desk.put(ask).result()
        with desk.ledger.reading() as book:
            return book.shown.get("n", {}).get("shown")

    assert shown(40) is None
    desk.call("buy", user="ann", market="n", outcome="yes", units=3_000_000)
    assert shown(5) is None  # not long enough
    assert shown(30) is True
    desk.call("buy", user="bob", market="n", outcome="no", units=5_000_000)
    desk.call("sell", user="bob", market="n", outcome="no", units=5_000_000)
    assert shown(30) is True  # a push that did not last
    desk.call("buy", user="bob", market="n", outcome="no", units=5_000_000)
    assert shown(10) is False
    del clerk
    desk.close()


def test_the_command_refuses_what_it_cannot_do_in_one_line(tmp_path: Path) -> None:
    from kolossos.listening import is_loopback, listen

    with pytest.raises(InputError, match="cannot be listened on"):
        listen("203.0.113.7", 80)
    with pytest.raises(InputError, match="cannot be listened on"):
        listen("127.0.0.1", 99_999)
    assert [is_loopback(h) for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")] == [
        True,
        True,
        True,
        False,
        False,
    ]
