"""A run's numbers over HTTP, in the text format of Prometheus."""

import re
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.runs.events import EventFile
from kolossos.runs.goodput import TimeFile
from kolossos.runs.paths import RunPaths
from kolossos.runs.prometheus import served

LINE = re.compile(r'# (HELP|TYPE) kolossos_\w+ .+|kolossos_\w+(\{part="\w+"\})? -?[0-9.e+-]+')


def answer(port: int, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return response.read().decode()


def test_the_newest_step_and_the_account_are_served(tmp_path: Path) -> None:
    files = RunPaths(tmp_path)
    with served(tmp_path, 0) as port:
        assert answer(port) == ""
        events = EventFile(files.metrics, 0)
        for step in (1, 2):
            events.write(step, "train", {"loss": 3.0 - step, "step_s": 0.5})
        events.write(2, "validation", {"validation_loss": 2.0})
        account = TimeFile(files.time)
        account.begin(100.0, 0, 1.0)
        account.spent(103.0, 2, {"update": 3.0})
        text = answer(port)
        with pytest.raises(urllib.error.HTTPError):
            answer(port, "/etc")
    assert all(LINE.fullmatch(line) for line in text.splitlines()), text
    assert "kolossos_step 2\n" in text
    assert "kolossos_loss 1.0\n" in text
    assert 'kolossos_wall_seconds{part="compute"} 3.0\n' in text
    assert "kolossos_goodput 0.75\n" in text


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} "), served(tmp_path, port):
            pass
