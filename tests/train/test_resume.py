"""A run that was interrupted, however roughly, ends in the same bits as one that was not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from quiet import Listener, train
from safetensors.torch import load_file

from kolossos.errors import InputError
from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.checkpoints.checkpoint import Checkpoint
from kolossos.train.start import checkpoints_of

TIMES = {"step_s", "tokens_per_s", "mfu"}


class Cut(BaseException):
    """Stands for anything that ends a process between two steps."""


def cut_at(step: int) -> Listener:
    def at_step(done: int) -> None:
        if done == step:
            raise Cut

    return Listener(at_step)


def committed(path: Path, step: int) -> Checkpoint:
    """The newest checkpoint of a run that was cut, once its writer (the cut does not end it) is done with ``step``."""
    for _ in range(600):
        newest = checkpoints_of(RunFolder.open(path)).all()[-1:]
        if newest and newest[0].step == step:
            return newest[0]
        time.sleep(0.1)
    raise AssertionError(f"no checkpoint of step {step}: {newest}")


def logged(path: Path) -> list[dict]:
    return [{k: v for k, v in event.items() if k not in TIMES} for event in read_events(path / "metrics.jsonl")]


def weights(path: Path, step: int) -> dict[str, torch.Tensor]:
    files = sorted((path / "checkpoints" / f"step-{step:08d}").glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def assert_same_run(a: Path, b: Path, step: int) -> None:
    assert repr(logged(a)) == repr(logged(b))  # NaN is not equal to itself
    left, right = weights(a, step), weights(b, step)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_run_is_bitwise_the_unbroken_one(
    precision: str, optimizer: str, run_file: Path, tmp_path: Path
) -> None:
    spec = load_run(run_file, [f"layout.precision={precision}", f"optimizer.name={optimizer}"])
    train(tmp_path / "unbroken", spec)
    with pytest.raises(Cut):
        train(tmp_path / "cut", spec, cut_at(7))
    assert train(tmp_path / "cut", spec).finished
    assert_same_run(tmp_path / "unbroken", tmp_path / "cut", 12)


def command(run_file: Path, folder: Path, *overrides: str) -> list[str]:
    sets = [part for override in overrides for part in ("--set", override)]
    return [sys.executable, "-m", "kolossos", "train", str(run_file), "--run", str(folder), *sets]


def steps_logged(folder: Path) -> int:
    try:
        return sum(b'"train"' in line for line in (folder / "metrics.jsonl").read_bytes().splitlines())
    except FileNotFoundError:
        return 0


def kill_after(process: subprocess.Popen, folder: Path, steps: int) -> None:
    deadline = time.monotonic() + 120
    while steps_logged(folder) < steps and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_killed_process_goes_on_exactly(run_file: Path, tmp_path: Path) -> None:
    overrides = ("schedule.steps=60", "checkpoint.every=10")
    train(tmp_path / "unbroken", load_run(run_file, list(overrides)))
    folder = tmp_path / "killed"
    for steps in (14, 33):  # killed twice
        kill_after(subprocess.Popen(command(run_file, folder, *overrides), stderr=subprocess.DEVNULL), folder, steps)
    subprocess.run(command(run_file, folder, *overrides), check=True, capture_output=True)
    assert_same_run(tmp_path / "unbroken", folder, 60)


def test_ctrl_c_saves_and_says_how_to_go_on(run_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    overrides = ("schedule.steps=100000", "checkpoint.every=0")
    process = subprocess.Popen(
        command(run_file, folder, *overrides), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    while steps_logged(folder) < 5:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 75
    assert f"go on with: kolossos train {folder}" in out
    assert checkpoints_of(RunFolder.open(folder)).all()[-1].step >= 5


@pytest.mark.parametrize("what", ["truncated", "altered", "without its manifest", "empty manifest"])
def test_damaged_checkpoint_is_named_and_the_one_before_used(what: str, run_spec: RunSpec, tmp_path: Path) -> None:
    train(tmp_path / "unbroken", run_spec)
    with pytest.raises(Cut):
        train(tmp_path / "run", run_spec, cut_at(10))
    newest = committed(tmp_path / "run", 8)
    file = next(newest.folder.glob("*.safetensors"))
    manifest = newest.folder / "checkpoint.json"
    if what == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif what == "altered":
        content = bytearray(file.read_bytes())
        content[-50] ^= 1
        file.write_bytes(content)
    elif what == "without its manifest":
        manifest.unlink()
    else:
        manifest.write_text("")
    listener = Listener()
    assert train(tmp_path / "run", run_spec, listener).finished
    assert "step-00000008 is damaged" in listener.lines[0]
    assert "going back to step-00000004" in listener.lines[0]
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 12)


def test_changed_run_file_is_refused_and_harmless_changes_are_not(run_file: Path, tmp_path: Path) -> None:
    train(tmp_path / "run", load_run(run_file))
    before = (tmp_path / "run" / "run.toml").read_bytes()
    with pytest.raises(InputError, match=r"started with optimizer\.lr = 0\.003, the run file now says 0\.5"):
        RunFolder.open(tmp_path / "run").adopt(load_run(run_file, ["optimizer.lr=0.5"]))
    assert (tmp_path / "run" / "run.toml").read_bytes() == before
    RunFolder.open(tmp_path / "run").adopt(load_run(run_file, ["checkpoint.keep=5"]))
    assert RunFolder.open(tmp_path / "run").spec.checkpoint.keep == 5


def test_json_outcome_alone_is_on_stdout(run_file: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [*command(run_file, tmp_path / "run"), "--json"], check=True, capture_output=True, text=True
    )
    outcome = json.loads(result.stdout)
    assert outcome["finished"]
    assert outcome["bits_per_byte"] > 0
