"""What a person sees of a run: TensorBoard's curves, and the display on a terminal."""

import io
from pathlib import Path

import pytest
import torch
from quiet import Listener, train
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event

from kolossos.cli.show.training import TrainingDisplay
from kolossos.runs.environment import Environment
from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.recorder import Recorder


class Cut(BaseException):
    """The end of a process."""


def shown_steps(folder: Path, tag: str) -> list[int]:
    """The steps that TensorBoard shows of a curve: a session that starts at a step hides what is there from it on."""
    shown: list[int] = []
    for file in sorted(folder.glob("events.*")):
        content, place = file.read_bytes(), 0
        while place < len(content):
            length = int.from_bytes(content[place : place + 8], "little")
            event = Event.FromString(content[place + 12 : place + 12 + length])
            place += 12 + length + 4
            if event.HasField("session_log") and event.session_log.status == event.session_log.START:
                shown = [step for step in shown if step < event.step]
            shown += [event.step for value in event.summary.value if value.tag == tag]
    return shown


@pytest.mark.parametrize("died_at", [3, 6])
def test_tensorboard_shows_every_step_once_whenever_the_run_died(
    died_at: int, run_spec: RunSpec, tmp_path: Path
) -> None:
    def cut(step: int) -> None:
        if step == died_at:  # the first checkpoint is of step 4
            raise Cut

    with pytest.raises(Cut):
        train(tmp_path / "run", run_spec, Listener(cut))
    train(tmp_path / "run", run_spec)
    assert shown_steps(tmp_path / "run/tensorboard", "train/loss") == list(range(1, 13))


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100)


def test_going_on_at_the_last_step_works_on_a_terminal(run_spec: RunSpec, tmp_path: Path) -> None:
    with TrainingDisplay(terminal()) as display:
        train(tmp_path / "run", run_spec, display)  # type: ignore[arg-type]
    metrics = tmp_path / "run/metrics.jsonl"
    metrics.write_text("".join(line for line in metrics.open() if '"kind": "validation"' not in line))
    console = terminal()
    with TrainingDisplay(console) as display:
        outcome = train(tmp_path / "run", run_spec, display)  # type: ignore[arg-type]
    assert outcome.evaluation is not None
    assert "validate" in console.file.getvalue()  # type: ignore[attr-defined]


def test_samples_are_written_at_every_validation(run_file: Path, tmp_path: Path) -> None:
    spec = load_run(run_file, ["evaluate.every=5", "schedule.steps=12"])
    train(tmp_path / "run", spec, sample=lambda model: f"{model.norm.weight.mean().item():.3f}")
    assert sorted(p.name for p in (tmp_path / "run/samples").iterdir()) == [
        f"step-{step:08d}.txt" for step in (5, 10, 12)
    ]


def test_scoring_happens_on_the_device_of_the_weights() -> None:
    import numpy as np

    from kolossos.data.corpus.batches import Batch
    from kolossos.train.evaluate import evaluate

    class Elsewhere(torch.nn.Module):
        """Its weights lie on another device than the batches come from."""

        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(5, 2, device="meta")

        def forward(self, tokens_BS: torch.Tensor, *, dtype: torch.dtype, document_BS: torch.Tensor):
            assert tokens_BS.is_meta
            assert document_BS.is_meta
            return tokens_BS, None

        def loss(self, hidden: torch.Tensor, targets_BS: torch.Tensor) -> torch.Tensor:
            assert targets_BS.is_meta
            return torch.tensor(6.0)

    ids = np.ones((1, 3), dtype=np.int64)
    made = evaluate(Elsewhere(), [Batch(ids, ids, ids.astype(np.int32))], np.full(5, 2), torch.float32)  # type: ignore[arg-type]
    assert made is not None
    assert (made.loss, made.tokens, made.n_bytes) == (2.0, 3, 6)


def test_the_plot_is_titled_and_the_sample_begun_by_the_run_itself(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kolossos.data.corpus.corpus import Corpus
    from kolossos.serve.load import little_training
    from kolossos.serve.sample import text_sampler

    titles: list[str] = []
    monkeypatch.setattr("kolossos.train.recorder.plot_run", lambda metrics, out, title: titles.append(title))
    spec = load_run(run_file, ["evaluate.sample_tokens=4", "schedule.steps=2"])
    corpus = Corpus.open(spec.data.path)
    train(tmp_path / "mine", spec, sample=text_sampler(corpus.tokenizer_path, spec))
    assert titles == ["mine: grok-nano"]
    first = next(line for line in corpus.validation_text_path.read_text().splitlines(True) if line.strip())
    assert (tmp_path / "mine/samples/step-00000002.txt").read_text().startswith(first[:60])
    warning = little_training(tmp_path / "mine")
    assert warning is not None
    assert "has seen 512 tokens in 2 steps" in warning


def test_who_goes_on_writing_adds_what_the_one_before_had_not_written(run_spec: RunSpec, tmp_path: Path) -> None:
    spec = load_run_folder(run_spec, tmp_path)
    before, after = (recorder_of(spec, is_writer=is_writer) for is_writer in (True, False))
    with after.recording(0):
        with before.recording(0):
            for step in (1, 2, 3):
                after.step(step, {"loss": float(step)}, 0.1)
                if step < 3:  # its process ends between the step and its event
                    before.step(step, {"loss": float(step)}, 0.1)
        after.take_over(3)
        after.step(4, {"loss": 4.0}, 0.1)
    events = read_events(spec.files.metrics, "train")
    assert [(event["step"], event["loss"]) for event in events] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert shown_steps(spec.files.tensorboard, "train/loss") == [1, 2, 3, 4]


def load_run_folder(spec: RunSpec, path: Path) -> RunFolder:
    (path / "tokenizer.json").write_text("{}")
    return RunFolder.create(path / "run", spec, path / "tokenizer.json")


def recorder_of(folder: RunFolder, *, is_writer: bool) -> Recorder:
    return Recorder(folder, Listener(), Environment(measured_peak_flops=1e9), is_writer=is_writer)
