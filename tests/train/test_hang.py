"""A run of several ranks in which one stops: a bounded end, a report with the rank and the collective."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from test_on_processes import started

from kolossos.runs.events import read_events
from kolossos.train.watch.board import TIMED_STEPS, Board
from kolossos.train.watch.watcher import LONGEST_S, RESTART, SHORTEST_S, deadline_s, hang_report

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
