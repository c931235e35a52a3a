"""The page's server: answers with their places, one clear line for what is wrong, and nothing for other sites."""

import re
import threading
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
from fastapi.testclient import TestClient

import kolossos.ground.serve.app as served
from kolossos.ground.answer.ask import Asker
from kolossos.ground.memory import Memory, whole
from kolossos.ground.serve.desk import MOST_WAITING, Busy, Desk
from kolossos.ground.source import Note, Query, Source

EVIL = "<script>alert(1)</script> The bridge cost 11 million pounds. \u202e</p>"
SOURCES = [
    Source("1", "post", EVIL, author="watch", notes=(Note("n", "So it was.", "CURRENTLY_RATED_HELPFUL"),)),
    Source("2", "post", "\ud83d The mayor of Ellery is Ingrid Solano."),
]


@pytest.fixture
def client() -> TestClient:
    asker = Asker(Memory(map(whole, SOURCES)), least=0.0)
    return TestClient(served.make_app(Desk(asker)), base_url="http://127.0.0.1:8010")


def test_an_answer_comes_with_the_text_around_each_quotation(client: TestClient) -> None:
    found = client.post("/v1/ask", json={"question": "What did the bridge cost?"}).json()
    first = found["quotations"][0]
    assert first["before"] + first["text"] + first["after"] == EVIL
    assert "11 million" in first["text"]
    assert [note["text"] for note in first["notes"]] == ["So it was."]
    assert client.post("/v1/ask", json={"question": "Who is the mayor of Ellery?"}).status_code == 200


def test_claims_and_searches_come_with_places(client: TestClient) -> None:
    claims = client.post("/v1/check", json={"text": "The mayor of Ellery is Ingrid Solano."}).json()["claims"]
    assert claims[0]["quotations"][0]["source"] == "2"
    (result,) = client.get("/v1/search", params={"q": "mayor"}).json()["results"]
    assert "".join(part for part, _ in result["parts"]) == result["snippet"]["text"]
    assert [part for part, marked in result["parts"] if marked] == ["mayor"]


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (lambda c: c.post("/v1/ask", json={"question": "???"}), 400),
        (lambda c: c.post("/v1/ask", json={"question": 7}), 400),
        (lambda c: c.post("/v1/ask", json={"question": "Who?", "more": 1}), 400),
        (lambda c: c.post("/v1/ask", content=b"{"), 400),
        (lambda c: c.get("/v1/search", params={"q": "since:never"}), 400),
        (lambda c: c.post("/v1/check", content=b"x" * 300_000), 413),
        (lambda c: c.get("/v1/about", headers={"Host": "evil.example"}), 403),
        (lambda c: c.get("/../run.py"), 404),
    ],
)
def test_what_is_wrong_is_one_line(client: TestClient, call, status: int) -> None:
    answer = call(client)
    assert answer.status_code == status
    assert len(answer.json()["error"]["message"].splitlines()) == 1


def test_nothing_is_loaded_from_elsewhere_and_no_source_becomes_markup(client: TestClient) -> None:
    for path in served.FILES:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        loaded = re.findall(r"(?:src|href|url|import)\W{1,3}(?:https?:)?//", answer.text)
        assert loaded == []
    script = (Path(served.__file__).parent / "page/page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", script)


def test_more_than_can_wait_is_told_so() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(Memory):
        def search(self, query: Query, count: int = 10, keep=None):
            entered.set()
            leave.wait(10)
            return super().search(query, count, keep)

    desk = Desk(Asker(Slow(map(whole, SOURCES))))
    waiting = [threading.Thread(target=desk.ask, args=("Who?",)) for _ in range(MOST_WAITING)]
    waiting[0].start()
    entered.wait(10)
    for thread in waiting[1:]:
        thread.start()
    while desk._places._value:  # pyright: ignore[reportAttributeAccessIssue]
        pass
    with pytest.raises(Busy):
        desk.ask("Who?")
    leave.set()
    for thread in waiting:
        thread.join(10)
