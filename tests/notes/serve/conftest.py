"""A service on a free port of this machine, in a thread, with an operator, an auditor and a bot."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kolossos.notes.ledger.ledger import Ledger
from kolossos.notes.serve.keys import new_key


class Service:
    """The running service: ``url``, and a client for each account."""

    def __init__(self, folder: Path, **settings) -> None:
        import httpx
        import uvicorn

        from kolossos.listening import listen
        from kolossos.notes.serve.app import make_app
        from kolossos.notes.serve.desk import Desk

        self.where = str(folder / "ledger.db")
        ledger = Ledger(self.where)
        ledger.one("grant", by="system", to="treasury", credits=10**12)
        self.keys = {}
        for name, role in (("olga", "operator"), ("axel", "auditor"), ("ann", "bot"), ("bob", "rater")):
            self.keys[name], digest = new_key()
            credits = 10**9 if role in ("bot", "rater") else 0
            ledger.one("join", by="system", name=name, role=role, credits=credits, key_sha256=digest)
        bound = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        app = make_app(Desk(ledger), **{"per_second": 5_000, "burst": 10_000, **settings})
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [bound]})
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)
        self._httpx = httpx

    def client(self, name: str | None = None):
        """A client with an account's key; without one, nobody's."""
        headers = {"Authorization": f"Bearer {self.keys[name]}"} if name else {}
        return self._httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def open(self, name: str, **stated) -> None:
        """Open a market."""
        asked = {"b": 10**7} if "funding" not in stated else {}
        answer = self.client("olga").post("/v1/markets", json={"name": name, "note": "123", **asked, **stated})
        assert answer.status_code == 201, answer.text

    def stop(self) -> None:
        """Stop it; what was accepted is finished."""
        self._server.should_exit = True
        self._thread.join(30)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    pytest.importorskip("httpx")
    made = Service(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator:
    """Start a service with settings of one's own."""
    pytest.importorskip("fastapi")
    made = []

    def begin(**settings) -> Service:
        made.append(Service(tmp_path, **settings))
        return made[-1]

    yield begin
    for service in made:
        service.stop()
