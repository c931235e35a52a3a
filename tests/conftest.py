"""Property tests draw the same examples on every run of `make test`, and new ones in `make test-all`.

A failure found by new examples is kept in .hypothesis and printed as an `@example` to be added to the test.
"""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from postgres_server import PostgresServer, can_run

os.environ.setdefault("KOLOSSOS_MEETING_SECONDS", "240")  # ranks of tests start at very different times

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile("same")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window; what needs it is skipped where it, or playwright, is missing."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that is started for the tests; what needs it is skipped where its programs are missing."""
    if not can_run():
        pytest.skip("the programs of PostgreSQL are not installed")
    server = PostgresServer()
    yield server
    server.stop()
