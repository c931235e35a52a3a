"""What a run learns and writes down."""

import json
import math
from pathlib import Path

import torch
from quiet import Listener, train

from kolossos.data.corpus.batches import validation_batches
from kolossos.data.corpus.corpus import Corpus
from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.serve.load import load_model
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.evaluate import evaluate, token_bytes


def test_a_run_learns_and_its_folder_holds_everything(run_file: Path, tmp_path: Path) -> None:
    spec = load_run(run_file, ["schedule.steps=60"])
    listener = Listener()
    outcome = train(tmp_path / "run", spec, listener)
    events = read_events(tmp_path / "run" / "metrics.jsonl", "train")
    assert [e["step"] for e in events] == list(range(1, 61))
    assert events[-1]["loss"] < events[0]["loss"] - 0.5
    assert events[-1]["tokens"] == 60 * 4 * 64
    assert 0.5 < events[-1]["load_entropy"] <= 1.0
    header = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert header["kind"] == "units"
    assert set(events[0]) - {"step", "kind"} <= set(header)
    assert outcome.evaluation is not None
    corpus = Corpus.open(spec.data.path)
    assert outcome.evaluation.tokens == corpus.split("validation").n_tokens
    assert outcome.evaluation.n_bytes == corpus.split("validation").n_bytes
    assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_micro_batches_add_up_to_the_global_batch(run_file: Path, tmp_path: Path) -> None:
    losses = []
    for size in (1, 2, 4):
        spec = load_run(run_file, [f"layout.micro_batch_size={size}", "loss.balance=0.0", "loss.router_z=0.0"])
        train(tmp_path / str(size), spec)
        losses.append([e["loss"] for e in read_events(tmp_path / str(size) / "metrics.jsonl", "train")])
    torch.testing.assert_close(losses[0], losses[1], atol=2e-3, rtol=0)
    torch.testing.assert_close(losses[0], losses[2], atol=2e-3, rtol=0)
    assert losses[0][0] != losses[0][1]


def test_bits_per_byte_of_a_model_that_guesses_is_what_guessing_costs(run_spec: RunSpec, tmp_path: Path) -> None:
    train(tmp_path / "run", run_spec)
    model = load_model(RunFolder.open(tmp_path / "run"))
    for parameter in model.parameters():
        parameter.zero_()
    corpus = Corpus.open(run_spec.data.path)
    split = corpus.split("validation")
    result = evaluate(model, validation_batches(split, 64, 2), token_bytes(corpus.tokenizer()), torch.float32)
    assert result is not None
    assert math.isclose(result.loss, math.log(400), rel_tol=1e-6)
    assert math.isclose(result.bits_per_byte, split.n_tokens * math.log2(400) / split.n_bytes, rel_tol=1e-6)
