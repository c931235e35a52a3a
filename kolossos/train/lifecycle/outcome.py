"""How a run, or a part of it, ended; told without torch, so that a finished run is known at once."""

import math
import signal
from dataclasses import dataclass
from pathlib import Path

from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.names import committed_steps


@dataclass(frozen=True)
class Evaluation:
    """Sum of nats over ``tokens`` targets, which stand for ``n_bytes`` of text (an end token for none)."""

    nats: float
    tokens: int
    n_bytes: int

    @property
    def loss(self) -> float:
        """Mean nats a token."""
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """Bits that the model needs for a byte of text; end tokens are paid for, too."""
        return self.nats / math.log(2) / self.n_bytes


@dataclass
class Outcome:
    """How the run in ``folder`` (or this part of it) ended.

    step: of the last checkpoint, where the run goes on. evaluation: of the whole validation split, at the end only;
    None where nothing was held out. nothing_to_do: the run was finished before. stopped_by: the signal that ended it.
    at_once: it came twice, or before the first step, so that nothing more was saved. elsewhere: another process tells.
    leaves_threads: some still wait for one who is gone, and are not waited for.
    """

    folder: Path
    step: int
    finished: bool
    seconds: float
    evaluation: Evaluation | None = None
    nothing_to_do: bool = False
    stopped_by: signal.Signals | None = None
    at_once: bool = False
    elsewhere: bool = False
    leaves_threads: bool = False


def finished_outcome(folder: RunFolder, spec: RunSpec) -> Outcome | None:
    """How a run ended whose last step, as ``spec`` wants it, was done, saved and scored; None for any other."""
    if spec.schedule != folder.spec.schedule:
        return None
    steps, metrics = folder.spec.schedule.steps, folder.files.metrics
    events = read_events(metrics, "validation") if metrics.exists() else []
    scores = [event for event in events if event["step"] == steps]
    if not scores or steps not in committed_steps(folder.files.checkpoints):
        return None
    last = scores[-1]
    evaluation = None
    if last["n_tokens"]:
        evaluation = Evaluation(last["validation_loss"] * last["n_tokens"], last["n_tokens"], last["n_bytes"])
    return Outcome(folder.path, steps, True, 0.0, evaluation, nothing_to_do=True)


def stopped_outcome(path: Path, by: signal.Signals) -> Outcome:
    """A run that a signal ended at once: it stands where its last checkpoint does."""
    step = max(committed_steps(path / "checkpoints"), default=0)
    return Outcome(path, step, False, 0.0, stopped_by=by, at_once=True)
