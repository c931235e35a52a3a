"""Clients that go, long prompts, health, and the end of the server."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kolossos.listening import listen

HERE = Path(__file__).parent
MESSAGES = [{"role": "user", "content": "x"}]


def send(server, path: str, **body) -> socket.socket:
    """A request sent by hand, so that its connection can be cut."""
    raw = json.dumps({"model": "tiny", **body}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}"
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(head.encode() + b"\r\n\r\n" + raw)
    return connection


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_frees_what_it_asked_for_at_once(start, until, stream, n) -> None:
    server = start({"pause_s": 0.01, "context": 100_000})
    connection = send(server, "/v1/chat/completions", messages=MESSAGES, stream=stream, n=n, max_tokens=90_000)
    until(lambda: server.engine.new_tokens > 5 * n)
    connection.close()
    until(lambda: not server.engine.running)
    assert sorted(server.engine.cancelled) == list(range(n))
    assert server.chat(max_tokens=3).json()["usage"]["completion_tokens"] == 3


def test_a_client_that_goes_before_the_first_token_frees_its_place_too(start, until) -> None:
    server = start()
    server.engine.hold.set()
    for stream in (False, True):
        connection = send(server, "/v1/completions", prompt="x", stream=stream)
        until(lambda: len(server.engine.running) == 1)
        connection.close()
        until(lambda: not server.engine.running)
    assert sorted(server.engine.cancelled) == [0, 1]
    assert server.engine.new_tokens == 0


@pytest.mark.parametrize("megabytes", [0.5, pytest.param(5, marks=pytest.mark.slow)])
def test_a_prompt_of_megabytes_leaves_health_and_others_alive(start, megabytes) -> None:
    """Of a context so long that the prompt is really encoded; while that goes on, others are answered."""
    server = start({"context": 10_000_000, "pause_s": 0.002})
    done = threading.Event()
    answers = []

    def ask() -> None:
        answers.append(server.complete("the quick brown fox " * int(megabytes * 50_000), max_tokens=1))
        done.set()

    thread = threading.Thread(target=ask)
    thread.start()
    healthy, tokens = 0, 0
    with server.client() as client:
        while not done.is_set():
            assert client.get("/health").status_code == 200
            other = client.post("/v1/completions", json={"model": "tiny", "prompt": "x"})
            tokens += other.json()["usage"]["completion_tokens"]
            healthy += 1
    thread.join()
    assert answers[0].status_code == 200
    assert healthy >= 3
    assert tokens == 16 * healthy


def test_health_is_a_503_when_the_engine_is_stuck_or_dead_and_live_tells_of_the_server_alone(start) -> None:
    server = start(stuck_s=30.0)
    with server.client() as client:
        assert client.get("/health/ready").status_code == 200
        server.engine.stalled_s = 31.0
        for path in ("/health", "/health/ready"):
            assert client.get(path).status_code == 503
            assert client.get(path).json()["error"]["code"] == "engine_stuck"
        server.engine.stalled_s = 0.0
        assert client.get("/health").status_code == 200
        server.engine.die()
        assert client.get("/health").json()["error"]["code"] == "engine_dead"
        assert client.get("/health/live").status_code == 200


SERVER = """
import sys, threading
sys.path.insert(0, sys.argv[1])
import uvicorn
from scripted import ScriptedEngine
from kolossos.data.tokenizer import Tokenizer
from kolossos.serve.http.app import make_app
from kolossos.serve.http.prompt.served import Markers, Served
from kolossos.listening import listen
from kolossos.serve.http.run import run
words = Tokenizer.train(["the quick brown fox"] * 20, 300)
bound = listen("127.0.0.1", 0)
print(bound.getsockname()[1], flush=True)
engine = ScriptedEngine(words, pause_s=0.01, context=100_000)
run(uvicorn, make_app(engine, Served("tiny", words, Markers(words, True), True, 0)), bound, float(sys.argv[2]))
print("ended", engine.closing, len(engine.running), flush=True)
"""


class Child:
    """A server in a process of its own, which can be sent signals."""

    def __init__(self, drain_s: float) -> None:
        command = [sys.executable, "-c", SERVER, str(HERE), str(drain_s)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def ended(self) -> str:
        said, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return said.strip()


@pytest.fixture
def child():
    pytest.importorskip("uvicorn")
    made = []

    def begin(drain_s: float) -> Child:
        made.append(Child(drain_s))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.process.kill()


def test_sigterm_refuses_what_is_new_and_finishes_what_runs(child, until) -> None:
    httpx = pytest.importorskip("httpx")
    server = child(60.0)
    asked = {"model": "tiny", "prompt": "x", "max_tokens": 150, "stream": True}
    with (
        httpx.Client(base_url=server.url, timeout=60) as other,
        httpx.stream("POST", f"{server.url}/v1/completions", json=asked, timeout=60) as running,
    ):
        lines = running.iter_lines()
        assert next(lines).startswith("data: ")
        assert other.get("/health").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        until(lambda: other.get("/health").status_code == 503)
        refused = other.post("/v1/completions", json=asked)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert other.get("/health/live").status_code == 200
        rest = [line for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert len(rest) > 100 or '"finish_reason":"length"' in rest[-2]
    assert server.ended() == "ended True 0"


def test_what_runs_longer_than_the_drain_is_told_so_and_ends(child) -> None:
    httpx = pytest.importorskip("httpx")
    server = child(0.2)
    asked = {"model": "tiny", "prompt": "x", "max_tokens": 90_000, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/completions", json=asked, timeout=60) as running:
        lines = running.iter_lines()
        assert next(lines).startswith("data: ")
        server.process.send_signal(signal.SIGTERM)
        rest = [line for line in lines if line]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert server.ended() == "ended True 0"


def test_small_pieces_are_sent_without_delay() -> None:
    """asyncio switches Nagle's delay off for what is accepted only where the listening socket says that it is TCP."""
    with listen("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP
        with socket.create_connection(bound.getsockname()):
            assert bound.accept()[0].proto == socket.IPPROTO_TCP
