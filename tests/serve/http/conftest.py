"""Servers around engines that answer from a script, and a tokenizer for them."""

import time
from collections.abc import Callable, Iterator

import pytest
from scripted import ScriptedEngine
from served_in_thread import Server

from kolossos.data.tokenizer import Tokenizer

JSON_TEXT = 'the quick brown fox {"x": 1, "name": [true, null]} jumps over the lazy dog. 1, 2, 3 \n\n'


@pytest.fixture(scope="session")
def words() -> Tokenizer:
    """A tokenizer with room for special tokens, in which an emoji is four tokens."""
    return Tokenizer.train([JSON_TEXT] * 20, vocab_size=300)


@pytest.fixture
def start(words: Tokenizer) -> Iterator[Callable[..., Server]]:
    """Start a server: ``engine=`` for settings of the engine, the rest for the server."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    pytest.importorskip("httpx")
    made: list[Server] = []

    def begin(engine: dict | None = None, **options) -> Server:
        tokenizer = options.pop("tokenizer", words)
        made.append(Server(tokenizer, ScriptedEngine(tokenizer, **(engine or {})), **options))
        return made[-1]

    yield begin
    for server in made:
        server.engine.hold.clear()
        server.stop()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so."""

    def wait(so: Callable[[], bool]) -> None:
        ends = time.monotonic() + 60
        while not so():
            assert time.monotonic() < ends, "it never was"
            time.sleep(0.01)

    return wait
