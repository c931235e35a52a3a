"""Visitors of the page of ``serve``, and servers with scripted answers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from page_visitor import Visitor
from scripted_server import ScriptedServer


@pytest.fixture
def visitor(browser: Any) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors; at the end no page may have complained of anything."""
    faults: list[str] = []
    contexts = []

    def make(width: int = 1200, **options: Any) -> Visitor:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **options))
        return Visitor(contexts[-1].new_page(), faults)

    yield make
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Makes servers, which end with the test."""
    servers: list[ScriptedServer] = []

    def make(**values: Any) -> ScriptedServer:
        servers.append(ScriptedServer(**values))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
