"""Two `prepare` into one place, and a file that ends the process that reads it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import pytest

from kolossos.data.documents.in_order import run_in_order
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError

HOLD = """
import sys, time
from kolossos.data.prepare import prepare, PrepareOptions
def wait(stage, done, total):
    print("working", flush=True)
    time.sleep(600)
prepare([sys.argv[1]], sys.argv[2], PrepareOptions(vocab_size=300), workers=1, progress=wait)
"""


@pytest.mark.parametrize("other_options", [False, True])
def test_the_second_is_refused_until_the_first_ends_or_dies(
    other_options: bool, tmp_path: Path, content_of: Callable[[Path], dict[str, bytes]]
) -> None:
    (tmp_path / "a.txt").write_text("Some words to learn from, again and again.")
    options = PrepareOptions(vocab_size=300, min_chars=5 if other_options else 20)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a.txt"), str(tmp_path / "data")]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "working\n"
        before = content_of(tmp_path / "data.partial")
        with pytest.raises(InputError, match=r"another process is preparing .*data now"):
            prepare([str(tmp_path / "a.txt")], tmp_path / "data", options, workers=1)
        assert content_of(tmp_path / "data.partial") == before
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    made = prepare([str(tmp_path / "a.txt")], tmp_path / "data", options, workers=1)
    assert made.manifest.options.min_chars == options.min_chars
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.txt", "data"]


def test_what_was_made_meanwhile_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kolossos.data import prepare as prepare_module

    (tmp_path / "a.txt").write_text("Some words to learn from, again and again.")
    options, real = PrepareOptions(vocab_size=300), prepare_module.existing_output
    asked = []

    def existing(*arguments):
        asked.append(1)
        if len(asked) == 1:  # another process starts and ends between the question and the lock
            assert real(*arguments) is None
            monkeypatch.setattr(prepare_module, "existing_output", real)
            prepare([str(tmp_path / "a.txt")], tmp_path / "data", replace(options, seed=5), workers=1)
            return None
        return real(*arguments)

    monkeypatch.setattr(prepare_module, "existing_output", existing)
    with pytest.raises(InputError, match="holds data prepared otherwise"):
        prepare([str(tmp_path / "a.txt")], tmp_path / "data", options, workers=1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.txt", "data"]


def end_process(number: int) -> int:
    if number == 3:
        os.abort()
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_a_call_that_ends_its_process_is_one_line_and_those_before_it_count(workers: int) -> None:
    results = run_in_order(end_process, range(8), workers, isolate=True, described=lambda n: f"file {n}")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="file 3: reading it ended the process that reads"):
        next(results)


def test_no_call_is_lost_where_the_pool_breaks_while_another_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real, handed = ProcessPoolExecutor.submit, []

    def submit(self: ProcessPoolExecutor, function, number: int):
        handed.append(number)
        if handed == [0, 1, 2, 3, 4]:  # the first that is handed out behind a result
            raise BrokenProcessPool
        return real(self, function, number)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    assert list(run_in_order(int, range(8), 2)) == list(range(8))
