"""The commands on a ledger: a demonstration whose log holds, a server that is stopped, a file that is none."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kolossos.cli.notes import app
from kolossos.errors import InputError
from kolossos.notes.ledger.ledger import Ledger
from kolossos.notes.tables.generate import Size

RUNNER = CliRunner()


def test_a_demonstration_fills_a_ledger_that_holds_and_goes_on_where_it_was(tmp_path: Path, monkeypatch) -> None:
    import threading

    from kolossos.notes.serve import demo

    monkeypatch.setattr(demo, "WORLD", Size(notes=220, raters=150, ratings=5_000, days=30))
    monkeypatch.setattr(demo, "LIVE_EVENTS_PER_S", 1e6)
    made = demo.prepare(tmp_path / "demo", 1, lambda _: None)
    with made.ledger.reading() as book:
        trades = sum(market.trades for market in book.markets.values())
        assert len(book.markets) > 20
        assert trades > 500
    world = demo.play_on(made, lambda ask: _done(made.ledger, ask), threading.Event())
    world.join(60)
    made.ledger.close()
    result = RUNNER.invoke(app, ["verify", str(tmp_path / "demo" / "ledger.db"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["events"] > trades
    with pytest.raises(InputError, match="is not empty"):
        demo.prepare(tmp_path / "demo", 1, lambda _: None)


def _done(ledger: Ledger, ask):
    from concurrent.futures import Future

    future: Future = Future()
    (answer,) = ledger.submit([ask])
    assert isinstance(answer, dict), answer
    future.set_result(answer)
    return future


def test_a_ledger_that_was_tampered_with_fails_and_a_missing_one_is_said(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.db")
    ledger.one("join", by="system", name="ann", role="bot", credits=5)
    ledger._store.begin()
    ledger._store.run("UPDATE balances SET amount = 6 WHERE account = 'ann'")
    ledger._store.commit()
    result = RUNNER.invoke(app, ["verify", str(tmp_path / "l.db")])
    assert result.exit_code == 1
    assert "violated: ann, credits" in result.stderr
    missing = RUNNER.invoke(app, ["verify", str(tmp_path / "none.db")])
    assert isinstance(missing.exception, InputError)


def test_a_server_says_its_address_and_key_once_and_ends_when_told(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    httpx = pytest.importorskip("httpx")
    command = [
        sys.executable,
        "-m",
        "kolossos",
        "notes",
        "serve",
        "--ledger",
        str(tmp_path / "l.db"),
        "--port",
        "0",
        "--json",
    ]
    keys = []
    for _ in range(2):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = json.loads(server.stdout.readline())
        keys.append(said["key"])
        assert httpx.get(said["address"] + "health", timeout=30).json() == {"status": "ok"}
        headers = {"Authorization": f"Bearer {keys[0]}"}
        assert httpx.get(said["address"] + "v1/me", headers=headers, timeout=30).json()["role"] == "operator"
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) in (0, -signal.SIGTERM)
    assert keys[0].startswith("kn-")
    assert keys[1] is None
    for arguments, expected in (
        (["--entry", "1.5"], "expected a share from 0 to 1"),
        (["--entry", "0.5", "--exit", "0.6"], "takes a note down at a higher price"),
        (["--treasury", "much"], "a number of credits is needed"),
        (["--rate", "0"], "expected more than 0"),
    ):
        result = RUNNER.invoke(app, ["serve", "--ledger", str(tmp_path / "x.db"), *arguments])
        assert isinstance(result.exception, InputError), arguments
        assert expected in str(result.exception)
    assert not (tmp_path / "x.db").exists()
