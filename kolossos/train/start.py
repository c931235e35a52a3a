"""Beginning a run, or going on with one, up to its outcome."""

from collections.abc import Callable
from pathlib import Path

import torch

from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.environment import environment_of
from kolossos.train.evaluate import Evaluation
from kolossos.train.first_weights import first_weights
from kolossos.train.loop import Loop, Outcome, seconds_per_step
from kolossos.train.recorder import Recorder, Sample, Watcher
from kolossos.train.request import RunRequest
from kolossos.train.setup import prepare_training
from kolossos.train.waiting import free_threads

LEAST_STEPS = 10


def start_run(
    wanted: RunRequest,
    watcher: Watcher,
    sampler: Callable[[Path, RunSpec], Sample | None] = lambda *_: None,
    *,
    busy_cores: float = 0.0,
    is_writer: bool = True,
) -> Outcome:
    """Train until the end or an interruption.

    Args:
        sampler: from the tokenizer's file and the spec to what writes samples, None for no samples.
        busy_cores: cores that other programs use now; a new run leaves them alone.
        is_writer: whether this rank is the one that writes and speaks.

    Raises:
        InputError: what cannot be run here; nothing is written then.
    """
    existing, spec = wanted.existing, wanted.spec
    if existing is not None and (outcome := finished_outcome(existing)) is not None:
        return outcome
    if existing is None and spec.compute.threads == 0:  # a run keeps its number of threads: others make other sums
        spec = spec.with_threads(free_threads(torch.get_num_threads(), busy_cores))
    first = first_weights(spec, existing and checkpoints_of(existing))
    spec = spec.with_init_sha256(first.sha256) if first else spec
    training = prepare_training(spec)
    if first is not None:
        first.require_tokenizer_of(training)
    folder = existing or RunFolder(wanted.path, spec)
    tokenizer = existing.files.tokenizer if existing else training.corpus.tokenizer_path
    recorder = Recorder(
        folder,
        watcher,
        environment_of(training.device, training.dtype, training.compiled),
        sample=sampler(tokenizer, spec),
        is_writer=is_writer,
    )
    if existing is None:
        if wanted.minutes is not None:
            recorder.say("compiling, then timing the first steps")
            steps = round(60 * wanted.minutes / seconds_per_step(training))
            training.spec = folder.spec = spec = spec.with_steps(max(LEAST_STEPS, steps))
        recorder.make_folder(tokenizer, replace=wanted.replace)
        recorder.say(f"new run in {folder.path}: {spec.model.name}, {spec.schedule.steps:,} steps")
    else:
        recorder.adopt(spec)
    if training.compiled.startswith("off:"):
        recorder.say(f"torch.compile is {training.compiled}")
    if first is not None:
        first.begin(training, checkpoints_of(folder))
        recorder.say(f"beginning with the weights of {first.path}")
    outcome = Loop(training, checkpoints_of(folder), recorder).run()
    recorder.plot()
    return outcome


def checkpoints_of(folder: RunFolder) -> CheckpointFolder:
    """The checkpoints of a run."""
    return CheckpointFolder(folder.files.checkpoints, folder.spec.checkpoint.keep)


def finished_outcome(folder: RunFolder) -> Outcome | None:
    """How a run ended whose last step was done, saved and scored; None for any other."""
    steps, metrics = folder.spec.schedule.steps, folder.files.metrics
    events = read_events(metrics, "validation") if metrics.exists() else []
    scores = [event for event in events if event["step"] == steps]
    if not scores or all(checkpoint.step != steps for checkpoint in checkpoints_of(folder).all()):
        return None
    last = scores[-1]
    evaluation = None
    if last["n_tokens"]:
        evaluation = Evaluation(last["validation_loss"] * last["n_tokens"], last["n_tokens"], last["n_bytes"])
    return Outcome(folder.path, steps, True, 0.0, evaluation, nothing_to_do=True)
