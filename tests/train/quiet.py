"""Running a small training inside a test."""

from pathlib import Path

from kolossos.runs.environment import Environment
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import RunSpec
from kolossos.train.lifecycle.outcome import Outcome
from kolossos.train.loop import Loop
from kolossos.train.recorder import Recorder, Sample
from kolossos.train.setup import prepare_training
from kolossos.train.start import checkpoints_of


class Listener:
    """A watcher that keeps what it hears; ``at_step`` may raise to end a run."""

    def __init__(self, at_step=None) -> None:
        self.lines: list[str] = []
        self.at_step = at_step or (lambda step: None)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, step: int, steps: int, values: dict[str, float]) -> None:
        self.at_step(step)

    def evaluating(self, tokens: int, total: int) -> None:
        pass


def train(path: Path, spec: RunSpec, listener: Listener | None = None, sample: Sample | None = None) -> Outcome:
    """Start the run in ``path``, or go on with it."""
    training = prepare_training(spec)
    folder = RunFolder.open(path) if path.exists() else RunFolder.create(path, spec, training.corpus.tokenizer_path)
    recorder = Recorder(folder, listener or Listener(), Environment(measured_peak_flops=1e9), sample=sample)
    return Loop(training, checkpoints_of(folder), recorder).run()
