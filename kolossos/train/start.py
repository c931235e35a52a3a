"""Beginning a run, or going on with one, up to its outcome."""

from collections.abc import Callable
from pathlib import Path

import torch

from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder, require_run_folder
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.checkpoints.ranks import ALONE, Ranks
from kolossos.train.environment import environment_of
from kolossos.train.evaluate import Evaluation
from kolossos.train.loop import Loop, Outcome, seconds_per_step
from kolossos.train.recorder import Recorder, Sample, Watcher
from kolossos.train.request import RunRequest
from kolossos.train.setup import open_corpus, prepare_training
from kolossos.train.together import agreed, require_equal
from kolossos.train.waiting import free_threads

LEAST_STEPS = 10


def start_run(
    wanted: RunRequest,
    watcher: Watcher,
    sampler: Callable[[Path, RunSpec], Sample | None] = lambda *_: None,
    *,
    busy_cores: float = 0.0,
    ranks: Ranks = ALONE,
) -> Outcome:
    """Train until the end or an interruption.

    Args:
        sampler: from the tokenizer's file and the spec to what writes samples, None for no samples.
        busy_cores: cores that other programs use now; a new run leaves them alone.
        ranks: who trains together; all call this with the same request. Rank 0 is the one that writes and speaks.

    Raises:
        InputError: what cannot be run here; nothing is written then.
    """
    existing, spec = wanted.existing, wanted.spec
    if existing is not None and (outcome := finished_outcome(existing)) is not None:
        return outcome
    if existing is None and spec.compute.threads == 0:  # a run keeps its number of threads: others make other sums
        spec = spec.with_threads(ranks.gather(free_threads(torch.get_num_threads(), busy_cores))[0])
    require_equal(ranks, spec)
    agreed(ranks, lambda: open_corpus(spec))
    training = prepare_training(spec, ranks)
    folder = existing or RunFolder(wanted.path, spec)
    tokenizer = existing.files.tokenizer if existing else training.corpus.tokenizer_path
    recorder = Recorder(
        folder,
        watcher,
        environment_of(training.device, training.dtype, training.compiled),
        sample=sampler(tokenizer, spec),
        is_writer=ranks.rank == 0,
    )
    if existing is None:
        if wanted.minutes is not None:
            recorder.say("compiling, then timing the first steps")
            steps = ranks.gather(round(60 * wanted.minutes / seconds_per_step(training)))[0]
            training.spec = folder.spec = spec = spec.with_steps(max(LEAST_STEPS, steps))
        recorder.make_folder(tokenizer, replace=wanted.replace)
        recorder.say(f"new run in {folder.path}: {spec.model.name}, {spec.schedule.steps:,} steps")
    else:
        recorder.adopt(spec)
    ranks.gather("made by one")
    agreed(ranks, lambda: require_run_folder(folder.path))  # seen by all
    if training.compiled.startswith("off:"):
        recorder.say(f"torch.compile is {training.compiled}")
    outcome = Loop(training, checkpoints_of(folder, ranks), recorder).run()
    recorder.plot()
    return outcome


def checkpoints_of(folder: RunFolder, ranks: Ranks = ALONE) -> CheckpointFolder:
    """The checkpoints of a run, saved by ``ranks``."""
    return CheckpointFolder(folder.files.checkpoints, folder.spec.checkpoint.keep, ranks)


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
