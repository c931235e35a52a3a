"""Running a small training inside a test."""

from pathlib import Path

import torch.distributed as dist

from kolossos.runs.environment import Environment
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.checkpoints.ranks import Ranks
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


def loop_on_ranks(run_file: str, values: list[str], path: str) -> tuple[Loop, Listener]:
    """On each rank of this job: the loop of the run in ``path``, which rank 0 makes if it is not there."""
    ranks = Ranks.of_group(dist.new_group(backend="gloo"))  # type: ignore[arg-type]
    spec, listener = load_run(Path(run_file), values), Listener()
    training = prepare_training(spec, ranks)
    if ranks.rank == 0 and not Path(path).exists():
        RunFolder.create(Path(path), spec, training.corpus.tokenizer_path)
    dist.barrier()
    recorder = Recorder(RunFolder.open(path), listener, Environment(measured_peak_flops=1e9), is_writer=not ranks.rank)
    return Loop(training, checkpoints_of(recorder.folder, ranks), recorder), listener
