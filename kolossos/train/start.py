"""Beginning a run, or going on with one, up to its outcome."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from kolossos.errors import InputError
from kolossos.files import NO_SPACE, READ_ONLY, write_failure
from kolossos.parallel.launched import Seat
from kolossos.runs.environment import Environment
from kolossos.runs.folder import RunFolder, require_run_folder
from kolossos.runs.rollbacks import read_rollbacks, write_rollbacks
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.checkpoints.names import committed_steps
from kolossos.train.checkpoints.ranks import ALONE, Ranks
from kolossos.train.environment import choose_device, environment_of
from kolossos.train.first_weights import first_weights
from kolossos.train.lifecycle.data import data_sha256, facts, open_corpus
from kolossos.train.lifecycle.interrupt import Interrupt
from kolossos.train.lifecycle.longer import step_that_stays, step_to_keep
from kolossos.train.lifecycle.outcome import Outcome, finished_outcome
from kolossos.train.lifecycle.request import RunRequest
from kolossos.train.loop import Loop, seconds_per_step
from kolossos.train.precision import PrecisionChoice, choose_precision
from kolossos.train.recorder import Recorder, Sample, Watcher
from kolossos.train.replicas.crew import Crew
from kolossos.train.schedule import StepBudget
from kolossos.train.setup import Training, prepare_training
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
    seat: Seat | None = None,
    interrupt: Interrupt | None = None,
) -> Outcome:
    """Train until the end or an interruption. Nobody else trains in the folder meanwhile: the caller sees to that.

    Args:
        sampler: from the tokenizer's file and the spec to what writes samples, None for no samples.
        busy_cores: cores that other programs use now; a new run leaves them alone.
        ranks: who trains together; all call this with the same request. Rank 0 is the one that writes and speaks.
        seat: of these ranks among replicas that come and go; each of those calls this by itself.
        interrupt: hears the signals that end the run early.

    Raises:
        InputError: what cannot be run here, and nothing is written then; or a disk that takes no more.
    """
    existing, spec = wanted.existing, wanted.spec
    if existing is not None and (outcome := ranks.gather(finished_outcome(existing, spec))[0]) is not None:
        return outcome
    if existing is None and spec.compute.threads == 0:  # a run keeps its number of threads: others make other sums
        spec = spec.with_threads(ranks.gather(free_threads(torch.get_num_threads(), busy_cores))[0])
    require_equal(ranks, spec)
    if spec.survival.replicas and seat is None:
        raise InputError("survival.replicas: such replicas are started by `kolossos launch`; else set it to false")
    spec, choice = _with_precision(spec, existing, ranks)
    first = agreed(ranks, lambda: first_weights(spec, existing and checkpoints_of(existing)))
    spec = spec.with_init_sha256(first.sha256) if first else spec
    agreed(ranks, lambda: open_corpus(spec))
    training = prepare_training(spec.of_one_replica() if seat else spec, ranks)
    spec = spec.with_data(data_sha256(training.corpus))
    training.spec = spec.of_one_replica() if seat else spec
    if first is not None:
        agreed(ranks, lambda: first.require_tokenizer_of(training))
    folder = existing or RunFolder(wanted.path, spec)
    tokenizer = existing.files.tokenizer if existing else training.corpus.tokenizer_path
    recorder = Recorder(
        folder,
        watcher,
        _environment(training, choice, existing if seat and seat.life else None),
        sample=sampler(tokenizer, spec),
        is_writer=ranks.rank == 0 and (seat is None or seat.begins),
    )
    with disk_of(wanted.path):
        if existing is None and wanted.minutes is not None:
            recorder.say("compiling, then timing the first steps")
            steps = ranks.gather(round(60 * wanted.minutes / seconds_per_step(training)))[0]
            training.spec = folder.spec = spec = spec.fitted(max(LEAST_STEPS, steps))
        agreed(ranks, lambda: _make_or_adopt(wanted, spec, recorder, tokenizer, choice))
        agreed(ranks, lambda: require_run_folder(folder.path))  # made by one, seen by all
        _say_what_begins(training, spec, recorder, wanted.minutes)
        checkpoints = checkpoints_of(folder, ranks)
        if first is not None:
            first.begin(training, checkpoints, save=seat is None or seat.begins)
            recorder.say(f"beginning with the weights of {first.path}")
        budget = None
        if existing is None and wanted.minutes is not None and spec.layout.world_size == 1:
            budget = StepBudget(60 * wanted.minutes)  # with more ranks each would measure another time
        crew = Crew(seat, spec.layout, training) if seat else None
        return Loop(training, checkpoints, recorder, interrupt or Interrupt(), step_to_keep(spec), budget, crew).run()


def _say_what_begins(training: Training, spec: RunSpec, recorder: Recorder, minutes: float | None) -> None:
    recorder.say(facts(spec, training.corpus))
    if training.compiled.startswith("off:"):
        recorder.say(f"torch.compile is {training.compiled}")
    if training.compiled == "on" and minutes is None:
        recorder.say("compiling: the first step takes longer")


def _with_precision(spec: RunSpec, existing: RunFolder | None, ranks: Ranks) -> tuple[RunSpec, PrecisionChoice | None]:
    """The spec of all ranks with a precision that rank 0 chose where it names none; a run keeps what it began with."""
    if existing is not None:
        return spec, _recorded_choice(existing)
    layout = spec.layout
    if layout.precision != "auto":
        return spec, None
    device = agreed(ranks, lambda: choose_device(spec.compute))
    tokens = layout.micro_batch_size * layout.seq_len
    choice = ranks.gather(choose_precision(spec.model, tokens, device) if ranks.rank == 0 else None)[0]
    return spec.with_precision(choice.precision), choice


def _make_or_adopt(
    wanted: RunRequest, spec: RunSpec, recorder: Recorder, tokenizer: Path, choice: PrecisionChoice | None
) -> None:
    """The folder of the run as ``spec`` wants it, by the rank that writes."""
    if not recorder.is_writer:
        return
    with disk_of(wanted.path):
        if wanted.existing is not None:
            _go_on(wanted.existing, spec, recorder)
            return
        recorder.make_folder(tokenizer, replace=wanted.replace)
        if choice is not None:
            recorder.say(f"precision {choice.precision}: {choice.reason}")
        recorder.say(f"new run in {wanted.path}: {spec.model.name}, {spec.schedule.steps:,} steps")


def _go_on(existing: RunFolder, spec: RunSpec, recorder: Recorder) -> None:
    """Adopt ``spec``; where it asks for another number of steps, drop the steps that it would have done otherwise."""
    stays, done = step_that_stays(existing, spec), max(committed_steps(existing.files.checkpoints), default=0)
    if stays < done:
        recorder.say(f"{existing.path}: going back from step {done:,} to {stays:,}, where the learning rate parts")
        checkpoints_of(existing).forget_after(stays)
        there = read_rollbacks(existing.files.rollbacks)
        if any(one.bad_step > stays for one in there):
            write_rollbacks(existing.files.rollbacks, [one for one in there if one.bad_step <= stays])
    before = existing.spec.schedule.steps
    recorder.adopt(spec, stays)
    if before != spec.schedule.steps:
        recorder.say(f"{existing.path}: {spec.schedule.steps:,} steps in place of {before:,}")


def _environment(training: Training, choice: PrecisionChoice | None, measured_in: RunFolder | None) -> Environment:
    """Of this machine; of one that comes back in the middle of a run, as it was measured before."""
    before = Environment.read(measured_in.files.environment) if measured_in else None
    return before or environment_of(training.device, training.dtype, training.compiled, choice)


def _recorded_choice(folder: RunFolder) -> PrecisionChoice | None:
    """How the precision of an existing run was chosen; None where the run file named it."""
    environment = Environment.read(folder.files.environment)
    record = environment.precision_choice if environment else None
    return PrecisionChoice(**record) if record else None


def checkpoints_of(folder: RunFolder, ranks: Ranks = ALONE) -> CheckpointFolder:
    """The checkpoints of a run, saved by ``ranks``."""
    keep, keep_step = folder.spec.checkpoint.keep, step_to_keep(folder.spec)
    return CheckpointFolder(folder.files.checkpoints, keep, ranks, keep_step=keep_step)


@contextmanager
def disk_of(folder: Path) -> Iterator[None]:
    """Turn what a disk does not take inside the block (temporary files of the compiler, too) into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, OSError) and (cause.errno in NO_SPACE or cause.errno in READ_ONLY):
                where = cause.filename or folder
                raise InputError(f"{folder}: stopped: {write_failure(cause)} ({where})") from error
            if "No space left on device" in str(cause):
                raise InputError(f"{folder}: stopped: no space left for temporary files; set TMPDIR") from error
            cause = cause.__cause__ or cause.__context__
        raise
