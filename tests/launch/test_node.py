"""A node: which code its ranks' ends add up to, and a real run of two ranks that one kills, stops, or refuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kolossos.launch.node import code_of, crashed
from kolossos.runs.events import read_events
from kolossos.train.checkpoints.names import committed_steps

TWO = ["--set", "layout.dp_shard=2", "--set", "layout.micro_batch_size=1"]


@pytest.mark.parametrize(
    ("codes", "code", "again"),
    [
        ([-9], 137, True),
        ([2, -9, 1], 137, True),  # who lost the killed rank says so in other ways
        ([1, 2], 1, True),
        ([2, 2], 2, False),
        ([-15, 2], 2, False),
        ([-15], 143, False),
        ([-11, -15], 139, True),
        ([130], 130, False),
    ],
)
def test_the_rank_that_began_it_gives_the_code(codes: list[int], code: int, again: bool) -> None:
    assert code_of(codes) == code
    assert crashed(code) == again


def test_the_end_and_a_stop_are_no_crash() -> None:
    assert not crashed(0)
    assert not crashed(75)


def launched(run_file: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    words = ["launch", str(run_file), "--on", "local", "--run", str(folder), *TWO, *more]
    return subprocess.Popen([sys.executable, "-m", "kolossos", *words], stderr=subprocess.PIPE, text=True)


def ranks_of(launcher: int) -> list[int]:
    children = Path(f"/proc/{launcher}/task").glob("*/children")
    return [int(child) for text in children for child in text.read_text().split()]


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not what():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds ranks in /proc")
def test_a_killed_rank_costs_a_start_and_not_the_run(run_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    job = launched(run_file, folder, "--set", "schedule.steps=24")
    wait_for(lambda: len(committed_steps(folder / "checkpoints")) > 0, job)
    os.kill(ranks_of(job.pid)[1], signal.SIGKILL)
    _, said = job.communicate()
    assert job.returncode == 0, said
    assert "the ranks ended with exit code 137: starting again (1 of 3)" in said
    assert [event["step"] for event in read_events(folder / "metrics.jsonl", "train")] == list(range(1, 25))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_to_the_launcher_ends_all_ranks_saved(number: int, run_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    job = launched(run_file, folder, "--set", "schedule.steps=100000")
    wait_for(lambda: len(committed_steps(folder / "checkpoints")) > 0, job)
    job.send_signal(number)
    _, said = job.communicate()
    assert job.returncode == 75, said
    assert "starting again" not in said
    last = [event["step"] for event in read_events(folder / "metrics.jsonl", "train")][-1]
    assert committed_steps(folder / "checkpoints")[-1] == last


@pytest.mark.slow
def test_a_refusal_is_said_once_and_not_tried_again(run_file: Path, tmp_path: Path) -> None:
    job = launched(run_file, tmp_path / "run", "--set", "data.path=nowhere")
    _, said = job.communicate()
    assert job.returncode == 2
    assert [line.count("error:") for line in said.splitlines() if "error:" in line] == [1]
    assert not (tmp_path / "run").exists()
