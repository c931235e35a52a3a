"""Run the command line in this process."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from kolossos.cli.main import main


class Done(NamedTuple):
    """How a command ended."""

    returncode: int | str | None
    stdout: str
    stderr: str


@pytest.fixture
def kolossos(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """``kolossos("plan", "grok-1", ...)`` on a wide terminal."""

    def run(*arguments: str) -> Done:
        monkeypatch.setattr("sys.argv", ["kolossos", *arguments])
        monkeypatch.setenv("COLUMNS", "160")
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(ended.value.code, *capsys.readouterr())

    return run
