"""Running a small training inside a test."""

from pathlib import Path

from kolossos.specs.run import RunSpec
from kolossos.train.loop import Loop, Outcome
from kolossos.train.run_folder import RunFolder
from kolossos.train.setup import prepare_training


class Listener:
    """A watcher that keeps what it hears; ``at_step`` may raise to end a run."""

    def __init__(self, at_step=None) -> None:
        self.lines: list[str] = []
        self.at_step = at_step or (lambda step: None)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def step(self, step: int, values: dict[str, float]) -> None:
        self.at_step(step)

    def evaluating(self, tokens: int, total: int) -> None:
        pass


def train(path: Path, spec: RunSpec, listener: Listener | None = None) -> Outcome:
    """Start the run in ``path``, or go on with it."""
    training = prepare_training(spec)
    folder = RunFolder.open(path) if path.exists() else RunFolder.create(path, spec, training.corpus.tokenizer_path)
    return Loop(training, folder, 1e9, listener or Listener()).run()
