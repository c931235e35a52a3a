"""Screens: narrow ones, ones without colour or UTF-8, and text that would move their cursor."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from kolossos.cli.show.text import for_stream, printable
from kolossos.cli.show.training import TrainingDisplay, exit_code, show_outcome
from kolossos.serve.complete import Completion, Completions
from kolossos.train.lifecycle.outcome import Outcome

VALUES = {"loss": 12.3456, "tokens_per_s": 123456.7, "mfu": 0.4567, "step_s": 0.5}


@pytest.mark.parametrize("width", [30, 40, 50, 60, 80, 120])
def test_the_progress_line_keeps_percentage_and_time_and_cuts_no_number(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    with TrainingDisplay(console) as display:
        display.step(1, 1000, VALUES)
        display.step(250, 1000, VALUES)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    last = re.sub(r"\x1b\[[0-9?;]*[A-Za-z]", "", shown).strip().splitlines()[-1]
    assert " 25%" in last
    assert re.search(r"\d:\d\d:\d\d|-:--:--", last)
    assert "…" not in last
    assert len(last) <= width
    assert "loss 12.346" in last
    assert ("MFU 45.7%" in last) == (width >= 120)


def test_control_characters_are_shown_and_never_sent() -> None:
    assert printable("plain text, é, 漢字, 🙂\n\tand more") == "plain text, é, 漢字, 🙂\n\tand more"
    assert printable("a\x1b[31mb\x00\x08\x7f\x9b\r") == r"a\x1b[31mb\x00\x08\x7f\x9b\x0d"
    assert printable("\u202eabc\udc80") == r"\u202eabc\udc80"
    assert printable("नि\u200dर") == "नि\u200dर"
    assert for_stream("a\x07", io.StringIO()) == "a\x07"  # type: ignore[arg-type]


def test_json_of_texts_holds_no_control_character() -> None:
    made = Completions([Completion(0, 0, [1], "a\x1b\x07\x9b\x7f\ud800é")], 1.0)
    text = made.to_json()
    assert printable(text) == text
    assert json.loads(text)["completions"][0]["text"] == made.completions[0].text


def on_a_terminal(command: list[str], **environment: str) -> str:
    """What the command sends to a terminal."""
    ours, its = pty.openpty()
    env = {**os.environ, **environment}
    process = subprocess.Popen([sys.executable, *command], stdout=its, stderr=its, stdin=subprocess.DEVNULL, env=env)
    os.close(its)
    sent = b""
    try:
        while piece := os.read(ours, 4096):
            sent += piece
    except OSError:  # the other end is closed
        pass
    process.wait()
    os.close(ours)
    return sent.decode()


def test_a_name_in_an_error_does_not_reach_the_terminal_raw() -> None:
    sent = on_a_terminal(["-m", "kolossos", "train", "no\x1b[31mred\x07"])
    assert r"no\x1b[31mred\x07" in sent
    assert "\x1b" not in sent


def test_forty_columns_no_colour_and_no_utf_8() -> None:
    sent = on_a_terminal(["-m", "kolossos", "models", "grok-*"], COLUMNS="40", NO_COLOR="1", LC_ALL="C", TERM="xterm")
    assert sent.isascii()
    assert "..." not in sent
    assert re.search(r"\d+\.\d [BM]", sent)
    assert not re.search(r"\x1b\[(3|4|9)\d", sent)


def test_exit_codes_say_how_a_run_ended(capsys: pytest.CaptureFixture[str]) -> None:
    from signal import SIGINT, SIGTERM

    finished = Outcome(Path("r"), 5, True, 1.0)
    saved = Outcome(Path("r"), 5, False, 1.0, stopped_by=SIGTERM)
    at_once = Outcome(Path("r"), 5, False, 1.0, stopped_by=SIGINT, at_once=True)
    assert [exit_code(outcome) for outcome in (finished, saved, at_once)] == [0, 75, 130]
    for outcome in (finished, saved, at_once):
        show_outcome(outcome, json=True)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["stopped_by"] for line in lines] == [None, "SIGTERM", "SIGINT"]
