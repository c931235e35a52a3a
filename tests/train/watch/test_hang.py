"""A run of several ranks in which one stops: a bounded end, a report with the rank and the collective."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_on_processes import started

from kolossos.runs.events import read_events
from kolossos.runs.paths import RunPaths
from kolossos.train.watch.board import TIMED_STEPS, Board
from kolossos.train.watch.watcher import LONGEST_S, RESTART, SHORTEST_S, _Watch, deadline_s, hang_report

FAR_S = 240.0  # far more than it takes: nothing here measures


@pytest.mark.slow  # two processes that load torch
def test_a_stopped_rank_is_named_with_the_collective_that_the_other_waits_in(run_file: Path, tmp_path: Path) -> None:
    run_file.write_text(run_file.read_text().replace("steps = 12", "steps = 100000"))
    folder, cut = tmp_path / "run", ["--set", "layout.dp_shard=2", "--set", "layout.micro_batch_size=1"]
    arguments = [str(run_file), "--run", str(folder), *cut, "--set", "compute.hang_seconds=4"]
    first, second = started([arguments] * 2)
    try:
        until = time.monotonic() + FAR_S
        metrics = folder / "metrics.jsonl"
        while time.monotonic() < until and not (metrics.exists() and len(read_events(metrics, "train")) > 2):
            time.sleep(0.2)
        os.kill(second.pid, signal.SIGSTOP)
        said = first.communicate(timeout=FAR_S)[1]
        assert first.returncode == RESTART, said
        report = json.loads((folder / "hang.json").read_text())
        assert report["suspects"] == [1]
        waits = report["ranks"][0]
        assert waits["collective"] in ("all-gather", "reduce-scatter", "all-reduce")
        (line,) = [row for row in said.splitlines() if row.startswith("error:")]
        assert "hangs at rank 1 on " in line
        assert "waiting for it: rank 0 on " in line
        assert waits["collective"] in line
        os.kill(second.pid, signal.SIGCONT)  # whoever wakes up again has no part in the next try
        second.communicate(timeout=FAR_S)
        assert second.returncode != 0
    finally:
        for process in (first, second):
            process.kill()
            process.wait()


def rank(number: int, **values: Any) -> dict[str, Any]:
    usual = {"host": "node", "step": 7, "part": "sums", "seconds": 9.0, "silent": False, "collective": "all-reduce"}
    return {"rank": number, **usual, **values}


def test_blame() -> None:
    all_wait = [rank(number) for number in range(4)]
    assert hang_report([*all_wait, rank(4, silent=True)])["suspects"] == [4]
    assert hang_report([*all_wait, rank(4, part="data", collective=None)])["suspects"] == [4]
    assert hang_report([*all_wait, rank(4, step=6)])["suspects"] == [4]
    assert hang_report([*all_wait, rank(4, collective="all-gather")])["suspects"] == [4]
    never = hang_report([*all_wait, {"rank": 4, "silent": True}])
    assert "rank 4, which never wrote where it is" in never["summary"]


def test_a_deadline_follows_the_steps_and_never_outlasts_a_collective() -> None:
    board = Board()
    board.begin_step(1)
    assert deadline_s(0, board) == LONGEST_S
    assert deadline_s(7, board) == 7
    for step in range(1, TIMED_STEPS + 2):
        board.begin_step(step)
        board.end_step()
    board.begin_step(9)
    assert deadline_s(0, board) == SHORTEST_S
    board.longest_step_s = 1e4
    assert deadline_s(0, board) == LONGEST_S
    board.at("checkpoint")
    assert deadline_s(0, board) == LONGEST_S


class Ended(BaseException):
    """In place of the end of this process."""


@pytest.mark.parametrize("silent", [False, True])
def test_only_a_rank_that_does_nothing_ends_those_who_wait_for_it(
    silent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(self: _Watch) -> None:
        raise Ended

    monkeypatch.setattr(_Watch, "_leave", leave)
    (tmp_path / "watch").mkdir()
    slow, waits = Board(), Board()
    slow.place = replace(slow.place, since_s=slow.place.since_s + 1e6)  # far from its deadline
    waits.place = replace(waits.place, since_s=waits.place.since_s - 1e6)
    busy, watch = (_Watch(RunPaths(tmp_path), board, rank, 2, 4.0) for rank, board in enumerate((slow, waits)))
    busy._write()
    watch._write()

    def while_it_waits(seconds: float) -> bool:
        if not silent:
            busy._write()
        return False

    monkeypatch.setattr(watch.done, "wait", while_it_waits)
    if silent:
        with pytest.raises(Ended):
            watch._judge()
        assert json.loads((tmp_path / "hang.json").read_text())["suspects"] == [0]
    else:
        watch._judge()
        assert not (tmp_path / "hang.json").exists()
