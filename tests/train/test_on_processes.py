"""`kolossos train` on several processes: one run folder, the same curve, another layout after it, one voice."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kolossos.runs.events import read_events
from kolossos.runs.lock import only_one
from kolossos.specs.run import load_run
from kolossos.train.checkpoints.names import committed_steps

TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
GONE_WITHIN_S = 60.0  # far more than it takes: nothing here measures


def processes(arguments: list[list[str]], environments: list[dict[str, str]] | None = None) -> list[tuple[int, str]]:
    """Exit code and stderr of `kolossos train` with these arguments, each list a rank of one job."""
    running = started(arguments, environments)
    deadline = time.monotonic() + GONE_WITHIN_S
    try:
        said = [process.communicate(timeout=max(1.0, deadline - time.monotonic()))[1] for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def started(
    arguments: list[list[str]], environments: list[dict[str, str]] | None = None
) -> list[subprocess.Popen[str]]:
    """The processes of such a job."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    job = {
        "WORLD_SIZE": str(len(arguments)),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, "-m", "kolossos", "train", *mine],
            env={
                **os.environ,
                **job,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "OMP_NUM_THREADS": "1",
                **environment,
            },
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, (mine, environment) in enumerate(zip(arguments, environments or [{}] * len(arguments), strict=True))
    ]


def test_a_rank_that_does_not_come_is_named_and_none_waits_for_ever(run_file: Path, tmp_path: Path) -> None:
    words = [str(run_file), "--run", str(tmp_path / "run"), "--set", "layout.dp_shard=2"]
    words += ["--set", "layout.micro_batch_size=1"]
    alone, elsewhere = {"KOLOSSOS_MEETING_SECONDS": "3"}, {"KOLOSSOS_MEETING_SECONDS": "3", "MASTER_PORT": "1"}
    ended = processes([words, words], [alone, elsewhere])
    assert [code for code, _ in ended] == [2, 2], ended
    (line,) = [row for _, text in ended for row in text.splitlines() if row.startswith("error:")]
    assert line.startswith("error: rank 1 of 2 did not reach 127.0.0.1:")
    assert not (tmp_path / "run").exists()


def said_by_one(arguments: list[list[str]]) -> str:
    """The one line that says why no rank of this job began; each ends with exit code 2."""
    ended = processes(arguments)
    assert [code for code, _ in ended] == [2] * len(arguments), ended
    (line,) = [row for _, text in ended for row in text.splitlines() if row.startswith("error:")]
    return line


def curve(folder: Path) -> list[float]:
    return [event["loss"] for event in read_events(folder / "metrics.jsonl", "train")]


@pytest.fixture
def adamw(run_file: Path) -> Path:
    """A run whose sums are in fp32 throughout; four layers' worth of stages are not needed here."""
    text = run_file.read_text().replace('name = "muon"', 'name = "adamw"')
    text = text.replace("n_kv_heads = 1", "n_kv_heads = 2").replace("batches = 2", "batches = 2\nsample_tokens = 8")
    run_file.write_text(text.replace("steps = 12", "steps = 8"))
    return run_file


def test_torchrun_as_typed_writes_one_run_that_equals_one_ranks_and_goes_on_under_another_layout(
    adamw: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    subprocess.run([sys.executable, "-m", "kolossos", "train", str(adamw), "--run", str(one)], check=True)
    start = [*TORCHRUN, "--nproc-per-node", "2", "-m", "kolossos", "--", "train", str(adamw), "--run", str(two)]
    data = ["--set", "layout.dp_shard=2", "--set", "layout.micro_batch_size=1"]
    subprocess.run([*start, *data], check=True)
    assert curve(two) == pytest.approx(curve(one), rel=1e-5)
    assert [e["step"] for e in read_events(two / "metrics.jsonl", "train")] == list(range(1, 9))
    for kind, keys in (("validation", ("validation_loss", "bits_per_byte", "n_tokens")), ("train", ("grad_norm",))):
        for there, alone in zip(*(read_events(f / "metrics.jsonl", kind) for f in (two, one)), strict=True):
            assert [there[key] for key in keys] == pytest.approx([alone[key] for key in keys], rel=1e-5)
    assert (two / "samples" / "step-00000008.txt").read_text() == (one / "samples" / "step-00000008.txt").read_text()
    files = json.loads((two / "checkpoints" / "step-00000008" / "checkpoint.json").read_text())["files"]
    assert sorted(files) == ["rank-00000.safetensors", "rank-00001.safetensors"]

    (newest,) = (two / "checkpoints").glob("*8")
    newest.rename(tmp_path / "gone")  # as if it had been killed after step 4
    tensor = ["--set", "layout.dp_shard=1", "--set", "layout.micro_batch_size=2", "--set", "layout.tp=2"]
    subprocess.run([*start, *tensor], check=True)
    assert curve(two) == pytest.approx(curve(one), rel=1e-5)


def test_what_is_wrong_everywhere_is_said_by_one_rank(adamw: Path, tmp_path: Path) -> None:
    arguments = [str(adamw), "--run", str(tmp_path / "run"), "--set", "layout.dp_shard=4"]
    line = said_by_one([[*arguments, "--set", "layout.global_batch_size=8"]] * 2)
    assert line.startswith("error: the layout needs 4 ranks and these are 2 processes")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (("seed = 3", "seed = 4"), "rank 1 on .* has another run file"),
        pytest.param(('path = "', 'path = "/nowhere'), "rank 1 on .* has another run file", marks=pytest.mark.slow),
        pytest.param(None, "rank 1 on .*other.toml", marks=pytest.mark.slow),
    ],
    ids=["another seed", "other data", "no file"],
)
def test_what_is_wrong_with_one_rank_names_it(
    change: tuple[str, str] | None, part: str, adamw: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    if change is not None:
        other.write_text(adamw.read_text().replace(*change))
    layout = ["--set", "layout.tp=2", "--run", str(tmp_path / "run")]
    assert re.search(part, said_by_one([[str(adamw), *layout], [str(other), *layout]]))
    assert not (tmp_path / "run").exists()


def test_a_folder_in_which_another_process_trains_is_refused_by_all(adamw: Path, tmp_path: Path) -> None:
    with only_one(tmp_path / "run"):
        line = said_by_one([[str(adamw), "--run", str(tmp_path / "run"), "--set", "layout.tp=2"]] * 2)
    assert re.search(r"rank 0 on .*: process \d+ on .* trains here now", line)


def test_a_signal_to_one_rank_ends_all_with_a_checkpoint_and_the_same_code(adamw: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [str(adamw), "--run", str(run), "--set", "layout.tp=2", "--set", "schedule.steps=100000"]
    running = started([arguments] * 2)
    deadline = time.monotonic() + GONE_WITHIN_S
    try:
        while not (run / "metrics.jsonl").exists() or len(curve(run)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running[1].send_signal(signal.SIGTERM)
        for process in running:
            process.communicate(timeout=GONE_WITHIN_S)
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [75, 75]
    assert committed_steps(run / "checkpoints")[-1] == len(curve(run))


@pytest.mark.slow
def test_first_weights_and_the_precision_that_one_rank_chose(adamw: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    first = tmp_path / "first"
    for folder, more in ((first, []), (whole, ["--init", str(first)])):
        steps = ["--set", "schedule.steps=3", "--set", "schedule.warmup_steps=1"]
        subprocess.run(
            [sys.executable, "-m", "kolossos", "train", str(adamw), "--run", str(folder), *steps, *more], check=True
        )
    more = ["--set", "layout.tp=2", "--set", "layout.precision=auto", "--init", str(first)]
    assert [code for code, _ in processes([[str(adamw), "--run", str(cut), *steps, *more]] * 2)] == [0, 0]
    assert curve(cut) == pytest.approx(curve(whole), rel=1e-2)  # bf16 where the machine is fast in it
    spec = load_run(cut / "run.toml", [])
    choice = json.loads((cut / "environment.json").read_text())["precision_choice"]
    assert spec.layout.precision == choice["precision"]
    assert spec.init == load_run(whole / "run.toml", []).init
