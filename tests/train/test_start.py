"""From the request of a person to a run: what is refused, what is read and when something is written."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from quiet import Listener

from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError
from kolossos.runs.environment import Environment
from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.serve.score import score
from kolossos.specs.layout import Layout
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.layouts import require_trainable
from kolossos.train.lifecycle.outcome import Outcome
from kolossos.train.lifecycle.request import request_run
from kolossos.train.recorder import Recorder
from kolossos.train.start import start_run


def begin(run: Path, folder: Path | None = None, *overrides: str, fresh: bool = False) -> Outcome:
    return start_run(request_run(run, list(overrides), folder=folder, fresh=fresh), Listener())


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where RunSpec was made from values, each time it was."""
    seen: list[str] = []
    original: Callable = RunSpec.model_validate.__func__  # type: ignore[attr-defined]

    def counted(cls: type[RunSpec], values: object, *args: object, **kwargs: object) -> RunSpec:
        seen.append(cls.__name__)
        return original(cls, values, *args, **kwargs)

    monkeypatch.setattr(RunSpec, "model_validate", classmethod(counted))
    return seen


def test_a_run_file_is_parsed_once_to_begin_and_a_folder_once_to_go_on(
    run_file: Path, tmp_path: Path, parses: list[str]
) -> None:
    begin(run_file, tmp_path / "run", "schedule.steps=6", "compute.threads=0")
    assert len(parses) == 1
    (newest,) = (tmp_path / "run" / "checkpoints").glob("*6")
    newest.rename(tmp_path / "gone")
    parses.clear()
    assert begin(tmp_path / "run").finished
    assert len(parses) == 1
    parses.clear()
    assert begin(tmp_path / "run").nothing_to_do
    assert len(parses) == 1


def test_what_the_machine_cannot_do_is_not_adopted_into_the_run_file(run_file: Path, tmp_path: Path) -> None:
    begin(run_file, tmp_path / "run", "schedule.steps=4", "checkpoint.every=2")
    (newest,) = (tmp_path / "run" / "checkpoints").glob("*4")
    newest.rename(tmp_path / "gone")
    before = (tmp_path / "run" / "run.toml").read_bytes()
    for override, message in (
        ("data.path=/nowhere", "/nowhere"),
        ("compute.device=tpu", r"compute\.device"),
        ("compute.device=cuda", "torch finds no CUDA device"),
    ):
        with pytest.raises(InputError, match=message):
            begin(tmp_path / "run", None, override)
        assert (tmp_path / "run" / "run.toml").read_bytes() == before
    assert begin(tmp_path / "run", None, "checkpoint.keep=7").finished
    assert RunFolder.open(tmp_path / "run").spec.checkpoint.keep == 7


def test_fresh_replaces_a_run_and_nothing_else(run_file: Path, tmp_path: Path) -> None:
    begin(run_file, tmp_path / "run", "schedule.steps=2")
    assert begin(run_file, tmp_path / "run", "schedule.steps=3", fresh=True).step == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").touch()
    with pytest.raises(InputError, match="not a run folder: it has no run"):
        begin(run_file, tmp_path / "mine", fresh=True)
    with pytest.raises(InputError, match="needs the run file"):
        begin(tmp_path / "run", fresh=True)


def test_steps_chosen_by_time_keep_the_share_of_warm_up_and_stay(run_file: Path, tmp_path: Path) -> None:
    listener = Listener()
    wanted = request_run(run_file, ["checkpoint.every=0"], folder=tmp_path / "run", minutes=1e-9)
    assert start_run(wanted, listener).step == 10  # of 12, 2 of them warm-up
    assert listener.lines[0] == "compiling, then timing the first steps"
    chosen = RunFolder.open(tmp_path / "run").spec.schedule
    assert (chosen.steps, chosen.warmup_steps) == (10, 2)
    again = request_run(run_file, ["checkpoint.every=0"], folder=tmp_path / "run", minutes=5)
    assert again.spec.schedule == chosen


REFUSED = [
    ({"dp_shard": 2, "global_batch_size": 16}, "needs 2 ranks and this is one process"),
    ({"ep": 2}, r"layout\.ep = 2"),
    ({"etp": 2}, r"layout\.etp = 2"),
    ({"vp": 2}, r"layout\.vp = 2"),
    ({"schedule": "zero-bubble"}, r"layout\.schedule = 'zero-bubble'"),
    ({"precision": "fp8"}, r"layout\.precision = 'fp8'"),
    ({"precision": "mxfp8"}, r"layout\.precision = 'mxfp8'"),
    ({"precision": "nvfp4"}, r"layout\.precision = 'nvfp4'"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=str)
def test_a_layout_that_would_be_ignored_is_refused_by_name(
    changes: dict, message: str, run_file: Path, tmp_path: Path
) -> None:
    model = load_run(run_file).model
    require_trainable(Layout(), model)
    with pytest.raises(InputError, match=message):
        require_trainable(Layout(**changes), model)
    overrides = [f"layout.{key}={value}" for key, value in changes.items()]
    with pytest.raises(InputError, match=message):
        request_run(run_file, overrides, folder=tmp_path / "run")


def test_a_refusal_comes_before_torch(run_file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "kolossos", "train", str(run_file), "--set", "layout.ep=4"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert "error: layout.ep = 4" in done.stderr
    assert " torch" not in done.stderr


@pytest.fixture
def all_for_training(tmp_path: Path) -> Path:
    """Prepared data of which nothing was held out."""
    (tmp_path / "text.txt").write_text("\n\n".join(f"line {i} of the only text, {i * i}" for i in range(400)))
    options = PrepareOptions(vocab_size=400, val_fraction=0.0, near_threshold=None)
    return prepare([str(tmp_path / "text.txt")], tmp_path / "data", options, workers=1).folder


def test_a_run_without_validation_text_finishes_and_says_so(
    all_for_training: Path, run_file: Path, tmp_path: Path
) -> None:
    spec = load_run(run_file, [f"data.path={all_for_training}", "evaluate.every=5", "schedule.steps=6"])
    (tmp_path / "small.toml").write_text(spec.to_toml())
    listener = Listener()
    outcome = start_run(request_run(tmp_path / "small.toml", [], folder=tmp_path / "run"), listener)
    assert outcome.finished
    assert outcome.evaluation is None
    assert listener.lines[-1] == "step 6: not scored, for the data holds no validation text: nothing was held out"
    assert (tmp_path / "run/plots/loss.png").exists()
    again = begin(tmp_path / "run")
    assert again.nothing_to_do
    assert again.evaluation is None
    scored = tmp_path / "run/metrics.jsonl"
    scored.write_text("".join(line for line in scored.open() if "validation" not in line or "units" in line))
    assert begin(tmp_path / "run").evaluation is None  # the last step was saved, and what came after it was not
    assert begin(tmp_path / "run").nothing_to_do
    with pytest.raises(InputError, match="no validation text to score on: nothing was held out"):
        score(tmp_path / "run", precision="fp32")


def test_the_command_shows_a_run_without_validation_text(
    all_for_training: Path, run_file: Path, tmp_path: Path
) -> None:
    sets = ["--set", f"data.path={all_for_training}", "--set", "schedule.steps=2"]
    command = [sys.executable, "-m", "kolossos", "train", str(run_file), "--run", "run", *sets, "--json"]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        outcome = json.loads(done.stdout)
        assert (outcome["finished"], outcome["validation_loss"], outcome["bits_per_byte"]) == (True, None, None)


def test_only_the_writer_writes_and_speaks(run_spec: RunSpec, tmp_path: Path) -> None:
    class Deaf(Listener):
        def say(self, text: str) -> None:
            raise AssertionError(text)

        step = evaluating = say  # type: ignore[assignment]

    folder = RunFolder(tmp_path / "run", run_spec)
    recorder = Recorder(folder, Deaf(), Environment(), is_writer=False)
    recorder.make_folder(tmp_path / "tokenizer.json")
    recorder.adopt(run_spec.with_threads(2))
    with recorder.recording(0):
        recorder.say("hello")
        recorder.step(1, {"loss": 1.0, "grad_norm": 1.0, "lr_factor": 1.0}, 0.5)
        recorder.skipped(2, {"loss": 1.0, "grad_norm": 1.0, "lr_factor": 1.0}, 0.5, 1, 10)
        recorder.evaluating(1, 2)
        recorder.evaluation(2, None, None)  # type: ignore[arg-type]
    recorder.plot()
    assert not (tmp_path / "run").exists()


def test_environment_and_units_are_recorded(run_file: Path, tmp_path: Path) -> None:
    begin(run_file, tmp_path / "run", "schedule.steps=2")
    made = Environment.read(RunFolder.open(tmp_path / "run").files.environment)
    assert made is not None
    assert made.threads == 1
    assert made.measured_peak_flops
    assert read_events(tmp_path / "run/metrics.jsonl", "train")[-1]["mfu"] > 0
