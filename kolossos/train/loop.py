"""The training loop: what comes next (a step, a validation, a checkpoint, the end), and going on exactly."""

import math
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from statistics import median

import torch

from kolossos.errors import InputError
from kolossos.files import write_failure
from kolossos.train.bad_steps import STOP_AFTER, on_step
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.evaluate import spread_batches
from kolossos.train.lifecycle.interrupt import Interrupt
from kolossos.train.lifecycle.longer import step_to_keep
from kolossos.train.lifecycle.outcome import Evaluation, Outcome
from kolossos.train.recorder import Recorder, step_values
from kolossos.train.schedule import StepBudget, lr_factor
from kolossos.train.setup import Training
from kolossos.train.watch.watcher import watched

TELL_S = 1.0  # between two records of where the time went
FIRST_SECONDS, MOST_FIRST_STEPS = 2.0, 20  # of the steps that are timed before a run begins


class _Stopped(Exception):
    """A validation that is given up, for the run is to end."""


@dataclass
class Loop:
    """Runs ``training`` from where its checkpoints stand to its last step."""

    training: Training
    checkpoints: CheckpointFolder
    recorder: Recorder
    interrupt: Interrupt = field(default_factory=Interrupt)
    keep_step: int | None = None  # is saved whatever checkpoint.every says
    budget: StepBudget | None = None  # of a new run whose number of steps is chosen by time
    _saved: int = field(init=False, default=0)
    _bad_in_a_row: int = field(init=False, default=0)
    _told_s: float = field(init=False, default=-math.inf)

    def run(self) -> Outcome:
        """Train; a signal ends after the step under way, with a checkpoint.

        Raises:
            InputError: too many steps in a row with a loss or gradient that is not finite (bad_steps.py); or what must
                be written cannot be, such as on a full disk. The line names the last good checkpoint.
        """
        start_time = time.perf_counter()
        done = self._saved = self._resume()
        try:
            with self._watched(), self.recorder.recording(done), self.interrupt.patience():
                done, evaluation, scored = self._train(done)
                if scored:
                    self.recorder.plot()
        except OSError as error:
            raise self._stopped(write_failure(error)) from error
        seconds = time.perf_counter() - start_time
        by = None if scored else self.interrupt.by
        return Outcome(self.recorder.folder.path, done, scored, seconds, evaluation, stopped_by=by)

    def _train(self, done: int) -> tuple[int, Evaluation | None, bool]:
        """The steps done, the score at the end, and whether the end was reached and scored."""
        spec, requested = self.training.spec, self._requested
        steps, evaluation, scored = spec.schedule.steps, None, False
        start_time = time.perf_counter()
        self.training.board.take()  # what was before counts as set-up, or restart
        if done and _is_due(done, spec.evaluate.every) and done < steps and not self._scored(done):
            self._validate(done, spec.evaluate.batches)  # the part before this one ended in it
        while done < steps and not requested():
            step_time = time.perf_counter()
            self._step(done)
            done += 1
            if self.budget is not None:
                now = time.perf_counter()
                steps = self._refit(self.budget, done, now - step_time, now - start_time)
            if _is_due(done, spec.compute.compare_replicas_every):
                self._compare_replicas(done)
            self._tell(done, TELL_S)
            if _is_due(done, spec.evaluate.every) and done < steps:
                self._validate(done, spec.evaluate.batches)
            if (_is_due(done, spec.checkpoint.every) or done == self.keep_step) and done < steps:
                self._save(done)
        if done > self._saved:
            self._save(done)
        if done == steps and not requested():
            evaluation = self._validate(done, None)
            scored = not requested() or self._scored(done)
        self.training.board.at("checkpoint")
        self.checkpoints.finish()
        self._tell(done)
        return done, evaluation, scored

    def _watched(self) -> AbstractContextManager[None]:
        training = self.training
        ranks, seconds = training.ranks, training.spec.compute.hang_seconds
        return watched(self.recorder.folder.path, training.board, ranks.rank, ranks.world, seconds)

    def _tell(self, step: int, at_least_s: float = 0.0) -> None:
        """Write down where the time went, unless that was done within ``at_least_s``."""
        now = time.monotonic()
        if now - self._told_s >= at_least_s:
            self._told_s = now
            self.recorder.spent(step, self.training.board.take())

    def _requested(self) -> bool:
        """Whether the run is to end, for a signal came to any rank."""
        return self.training.wished(self.interrupt.requested)

    def _scored(self, step: int) -> bool:
        """Whether the writer has written down a validation after ``step``; the same on all ranks."""
        return self.training.wished(self.recorder.scored(step))

    def _refit(self, budget: StepBudget, done: int, step_seconds: float, spent: float) -> int:
        """The steps to go for, written into the run file where they are others than before."""
        schedule = self.training.spec.schedule
        steps = budget.refit(schedule, done, step_seconds=step_seconds, spent=spent)
        if steps != schedule.steps:
            self.training.spec = self.recorder.refit(steps)
            self.keep_step = self.checkpoints.keep_step = step_to_keep(self.training.spec)
        return steps

    def _resume(self) -> int:
        checkpoint = self.checkpoints.newest_good(self.recorder.say)
        if checkpoint is None:
            return 0
        checkpoint.load(self.training.state())
        return checkpoint.step

    def _step(self, step: int) -> None:
        start, board = time.perf_counter(), self.training.board
        board.begin_step(step + 1)
        factor = lr_factor(self.training.spec.schedule, step)
        result = self.training.step(step, factor, skip_if_not_finite=True)
        values = step_values(result, factor)
        board.end_step()
        seconds = time.perf_counter() - start
        decision = on_step(result.loss, result.grad_norm, self._bad_in_a_row)
        if decision == "keep":
            self._bad_in_a_row = 0
            self.recorder.step(step + 1, values, seconds)
            return
        self._bad_in_a_row += 1
        self.recorder.skipped(step + 1, values, seconds, self._bad_in_a_row, STOP_AFTER)
        if decision == "stop":
            raise self._diverged(f"in {self._bad_in_a_row} steps in a row, the last of them step {step + 1}")

    def _save(self, step: int) -> None:
        """Weights that are not finite never become a checkpoint. After a good step they are, and are not looked at."""
        if self._bad_in_a_row and self.training.wished(not self.training.is_finite()):
            raise self._diverged(f"in step {step}, and the weights are damaged")
        if self.training.spec.compute.compare_replicas_every:
            self._compare_replicas(step)
        self.training.board.at("checkpoint")
        self.recorder.sync()
        self.checkpoints.save(step, self.training.state())
        self.training.board.at("writing")
        self._saved = step
        self._tell(step)  # an attempt may go on from here: its account begins where this one is cut

    def _compare_replicas(self, step: int) -> None:
        """What differs never becomes a checkpoint."""
        if differing := self.training.differing_replicas():
            raise self._stopped(
                f"{differing} after step {step}", "; leave that host out, and the run goes on from there"
            )

    def _diverged(self, when: str) -> InputError:
        return self._stopped(f"loss or gradient were not finite {when}", "; begin again with a lower optimizer.lr")

    def _stopped(self, why: str, what_to_do: str = "; the same command goes on from there") -> InputError:
        with suppress(InputError):  # why a checkpoint under way could not be written says nothing more
            self.checkpoints.finish()
        return InputError(f"{self.recorder.folder.path}: stopped: {why}; {self.checkpoints.last_good()}{what_to_do}")

    def _validate(self, step: int, limit: int | None) -> Evaluation | None:
        """Score about ``limit`` batches of the validation split, or, with progress, all of it; nothing if stopped."""
        training = self.training
        split = training.corpus.split("validation")

        def progress(tokens: int) -> None:
            if self._requested():
                raise _Stopped
            training.board.at("validation")  # again for each batch: it goes on
            if limit is None:
                self.recorder.evaluating(tokens, split.n_tokens)

        training.board.at("validation")
        batches = spread_batches(split, training.spec, limit)
        try:
            evaluation = training.evaluate(batches, progress)
        except _Stopped:
            training.model.train()
            return None
        self.recorder.evaluation(step, evaluation, training.model_for_samples())
        training.board.at("writing")
        return evaluation


def seconds_per_step(training: Training, steps: int = 3) -> float:
    """Typical time of the first steps once everything is compiled; leaves the training at step 0."""
    times: list[float] = []
    while training.wished(
        len(times) <= steps or (sum(times[1:]) < FIRST_SECONDS and len(times) < MOST_FIRST_STEPS)
    ):  # any rank: each measures another time, and all must take the same steps
        start = time.perf_counter()
        training.step(len(times), 0.0).loss.item()
        times.append(time.perf_counter() - start)
    training.restart()
    if training.device.type == "cuda":
        torch.cuda.synchronize()
    return median(times[1:])


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
