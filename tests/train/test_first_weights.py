"""A run that begins with the weights of another model: what it takes, what it refuses, what it needs to go on."""

import shutil
from pathlib import Path

import pytest
import torch
from quiet import Listener

from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError
from kolossos.model.huggingface import export_huggingface
from kolossos.runs.folder import RunFolder
from kolossos.serve.load import load_model
from kolossos.train.lifecycle.request import request_run
from kolossos.train.loop import Outcome
from kolossos.train.start import checkpoints_of, start_run


def begin(run: Path, folder: Path | None, *overrides: str) -> Outcome:
    return start_run(request_run(run, list(overrides), folder=folder), Listener())


@pytest.fixture
def first_run(run_file: Path, tmp_path: Path) -> Path:
    begin(run_file, tmp_path / "first", "schedule.steps=3")
    return tmp_path / "first"


def weights(folder: Path, step: int | None = None) -> dict[str, torch.Tensor]:
    return load_model(RunFolder.open(folder), step).state_dict()


@pytest.mark.parametrize("kind", ["run", "hugging face"])
def test_a_run_begins_with_the_weights_of_a_folder_and_goes_on_without_it(
    kind: str, first_run: Path, run_file: Path, tmp_path: Path
) -> None:
    source, expected = first_run, weights(first_run)
    if kind == "hugging face":
        source = tmp_path / "exported"
        run = RunFolder.open(first_run)
        export_huggingface(load_model(run), source, run.files.tokenizer, dtype="float32")
    sets = [f"init={source}", "checkpoint.every=0", "checkpoint.keep=3", "schedule.steps=4"]
    begin(run_file, tmp_path / "tuned", *sets)
    recorded = RunFolder.open(tmp_path / "tuned").spec.init
    assert recorded is not None
    assert (recorded.path, len(recorded.sha256 or "")) == (str(source), 64)
    at_start = weights(tmp_path / "tuned", 0)
    assert all(torch.equal(at_start[name], value) for name, value in expected.items())
    trained = weights(tmp_path / "tuned")
    assert not all(torch.equal(trained[name], value) for name, value in expected.items())

    shutil.rmtree(source)
    (last,) = [c for c in checkpoints_of(RunFolder.open(tmp_path / "tuned")).all() if c.step == 4]
    shutil.rmtree(last.folder)
    again = begin(run_file, tmp_path / "tuned", *sets)
    assert again.step == 4
    assert all(torch.equal(value, trained[name]) for name, value in weights(tmp_path / "tuned").items())


def test_other_weights_than_the_run_began_with_are_refused(first_run: Path, run_file: Path, tmp_path: Path) -> None:
    begin(run_file, tmp_path / "tuned", f"init={first_run}", "schedule.steps=2")
    shutil.rmtree(tmp_path / "tuned/checkpoints")
    shutil.rmtree(first_run)
    begin(run_file, first_run, "schedule.steps=4")
    with pytest.raises(InputError, match="not the weights that the run began with"):
        begin(tmp_path / "tuned", None)


def test_another_model_another_tokenizer_and_no_folder_are_refused(
    first_run: Path, run_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"another model than the run's: head_dim = 16, not 8"):
        begin(run_file, tmp_path / "other", f"init={first_run}", "model.head_dim=8")
    with pytest.raises(InputError, match="neither a run folder"):
        begin(run_file, tmp_path / "other", f"init={tmp_path / 'nothing'}")
    text = tmp_path / "text"
    text.mkdir()
    for number in range(9):
        (text / f"{number}.txt").write_text(f"{number} other words make another tokenizer {number * 'and so on '}" * 9)
    options = PrepareOptions(vocab_size=300, val_fraction=0.2, near_threshold=None)
    prepare([str(text)], tmp_path / "data", options, workers=1)
    with pytest.raises(InputError, match="its tokenizer is not the one of"):
        begin(run_file, tmp_path / "other", f"init={first_run}", f"data.path={tmp_path / 'data'}")
    assert not (tmp_path / "other").exists()
