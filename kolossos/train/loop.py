"""The training loop: what comes next (a step, a validation, a checkpoint, the end), and going on exactly."""

import math
import time
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field
from signal import SIGTERM
from statistics import median

import torch

from kolossos.errors import InputError
from kolossos.files import write_failure
from kolossos.runs.step_times import StepTimes, read_step_times
from kolossos.train.bad_steps import STOP_AFTER, on_step
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.checkpoints.memory import Memory, place_of
from kolossos.train.checkpoints.names import committed_steps
from kolossos.train.evaluate import spread_batches
from kolossos.train.lifecycle.interrupt import Interrupt
from kolossos.train.lifecycle.longer import step_to_keep
from kolossos.train.lifecycle.outcome import Evaluation, Outcome
from kolossos.train.recorder import Recorder, step_values
from kolossos.train.replicas.crew import Crew
from kolossos.train.schedule import StepBudget, lr_factor
from kolossos.train.setup import Training
from kolossos.train.survive.rollback import Rollbacks
from kolossos.train.watch.replay import Miscomputed
from kolossos.train.watch.watcher import watched

TELL_S = 1.0  # between two records of where the time went
TIMES_S = 5.0  # between two records of how long the steps of each rank took
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
    crew: Crew | None = None  # the other replicas, where they come and go
    _saved: int = field(init=False, default=0)
    _wrote: bool = field(init=False, default=True)
    _bad_in_a_row: int = field(init=False, default=0)
    _told_s: float = field(init=False, default=-math.inf)
    _timed_s: float = field(init=False, default=-math.inf)
    _rollbacks: Rollbacks = field(init=False)
    _miscomputed: int = field(init=False, default=-1)  # the step that was found to be wrong last

    def __post_init__(self) -> None:
        self._rollbacks = Rollbacks(self.training, self.checkpoints, self.recorder)

    def run(self) -> Outcome:
        """Train; a signal ends after the step under way, with a checkpoint.

        Raises:
            InputError: too many steps in a row with a loss or gradient that is not finite (bad_steps.py); or what must
                be written cannot be, such as on a full disk. The line names the last good checkpoint.
        """
        start_time = time.perf_counter()
        self._count_on()
        if self.crew is None and self.training.spec.checkpoint.memory_every:
            ranks, path = self.training.ranks, self.recorder.folder.path
            place = place_of(path, self.training.spec, ranks.world)
            self.checkpoints.memory = Memory(place, ranks, self.recorder.say)
        done = self._resume()
        if self.crew is not None:
            done = self.crew.join(done)
            self._saved, self._wrote = self._newest_saved(done), self._writes
            self.recorder.is_writer = self._writes and self.training.ranks.rank == 0
            self.crew.on_change, self.crew.on_disagreement = self._catch_up, self.recorder.miscomputed
        try:
            with self._watched(), self.recorder.recording(done), self.interrupt.patience():
                done, evaluation, scored = self._train(done)
                if scored:
                    self.recorder.plot()
        except OSError as error:
            raise self._stopped(write_failure(error)) from error
        seconds = time.perf_counter() - start_time
        by = None if scored else self.interrupt.by or (SIGTERM if self.crew else None)  # told to another replica
        path, elsewhere = self.recorder.folder.path, not self._writes
        return Outcome(path, done, scored, seconds, evaluation, stopped_by=by, elsewhere=elsewhere)

    def _train(self, done: int) -> tuple[int, Evaluation | None, bool]:
        """The steps done, the score at the end, and whether the end was reached and scored."""
        spec, requested = self.training.spec, self._requested
        steps, evaluation, scored = spec.schedule.steps, None, False
        start_time = time.perf_counter()
        self.training.board.take()  # what was before counts as set-up, or restart
        if self.crew is None and 0 < spec.checkpoint.every <= steps - done:
            self.checkpoints.prepare(self.training.state())
        self._rollbacks.complete()
        self._score_if_due(done)  # the part before this one may have ended in it
        while done < steps and not requested():
            step_time, before = time.perf_counter(), done
            done = self._step(done)
            if done <= before:
                continue
            if self.budget is not None:
                now = time.perf_counter()
                steps = self._refit(self.budget, done, now - step_time, now - start_time)
            every = spec.compute.compare_replicas_every
            if _is_due(done, every) or (self.crew is not None and every and self._is_save_due(done)):
                self._compare_replicas(done)
            self._tell(done, TELL_S)
            if _is_due(done, spec.evaluate.every) and done < steps:
                self._validate(done, spec.evaluate.batches)
            if self._is_save_due(done):
                self._save(done)
            elif _is_due(done, spec.checkpoint.memory_every) and done < steps:
                self._save(done, in_memory=True)
        evaluation, scored = self._end(done)
        while self.crew is not None and not self.crew.finished(done, self.interrupt.requested):
            evaluation, scored = self._end(done)  # whoever was to do it is gone
        if self.crew is not None and not self._writes:
            scored = done == steps and not self.crew.stopping
        return done, evaluation, scored

    def _end(self, done: int) -> tuple[Evaluation | None, bool]:
        """Save, and score where the run is finished: the score, and whether it is written down."""
        evaluation, scored = None, False
        if done > self._saved:
            self._save(done)
        if done == self.training.spec.schedule.steps and not self._requested():
            evaluation = self._validate(done, None)
            scored = self._scored(done)  # unless a signal has cut it off
        self.training.board.at("checkpoint")
        self.checkpoints.finish()
        if self.checkpoints.memory is not None:
            self.checkpoints.memory.clear()
        self._tell(done)
        return evaluation, scored

    def _count_on(self) -> None:
        """How long the steps of this rank took before, in an attempt that ended."""
        rank = self.training.ranks.rank
        if self.crew is not None:
            rank += self.crew.seat.replica * self.crew.seat.ranks
        before = read_step_times(self.recorder.folder.files.steps_of(rank))
        self.training.board.times = before or StepTimes(rank)

    @property
    def _writes(self) -> bool:
        """Whether this rank's replica is the one that saves and scores."""
        return self.crew is None or self.crew.is_writer

    def _catch_up(self, done: int) -> None:
        """The members have changed. If this replica writes from now on: do what the one before may have left undone."""
        if self._wrote or not self._writes:
            return
        self._wrote = True
        self.training.board.take()  # until now the one before has told where the time went
        if self.training.ranks.rank == 0:
            self.recorder.take_over(done)
        self._saved = self._newest_saved(done)
        self._score_if_due(done)
        if self._is_save_due(done) and done > self._saved:
            self._save(done)

    def _newest_saved(self, done: int) -> int:
        """The last step up to ``done`` of which there is a checkpoint; the same on all ranks of a replica."""
        there = committed_steps(self.recorder.folder.files.checkpoints)
        return self.training.ranks.gather(max((step for step in there if step <= done), default=0))[0]

    def _score_if_due(self, done: int) -> None:
        """Score where that is due after ``done`` steps and not written down."""
        spec = self.training.spec
        if 0 < done < spec.schedule.steps and _is_due(done, spec.evaluate.every) and not self._scored(done):
            self._validate(done, spec.evaluate.batches)

    def _is_save_due(self, done: int) -> bool:
        due = _is_due(done, self.training.spec.checkpoint.every) or done == self.keep_step
        return due and done < self.training.spec.schedule.steps

    def _watched(self) -> AbstractContextManager[object]:
        training = self.training
        ranks, seconds = training.ranks, training.spec.compute.hang_seconds
        if self.crew is not None:  # the coordinator watches
            return closing(self.crew)
        return watched(self.recorder.folder.path, training.board, ranks.rank, ranks.world, seconds)

    def _tell(self, step: int, at_least_s: float = 0.0) -> None:
        """Write down where the time went, unless that was done within ``at_least_s``."""
        now = time.monotonic()
        if now - self._told_s >= at_least_s:
            self._told_s = now
            self.recorder.spent(step, self.training.board.take())
            if at_least_s == 0.0 or now - self._timed_s >= TIMES_S:
                self._timed_s = now
                self.recorder.took(step, self.training.board.times, curves=at_least_s == 0.0)

    def _requested(self) -> bool:
        """Whether the run is to end, for a signal came to any rank."""
        if self.crew is not None:
            return self.crew.stopping
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
        memory, state = self.checkpoints.memory, self.training.state()
        there = self.training.ranks.gather([one.step for one in self.checkpoints.all()])[0] if memory else []
        if memory is not None and (step := memory.restore(state, max(there, default=0))) is not None:
            self.recorder.say(f"going on from step {step}, from the memory of the nodes")
            self._saved, done = max(there, default=0), step
        else:
            checkpoint = self.checkpoints.newest_good(self.recorder.say)
            done = self._saved = checkpoint.step if checkpoint else 0
            if checkpoint is not None:
                checkpoint.load(state)
        if self.crew is None:  # with replicas no run goes back
            self._rollbacks.resume(done)
        return done

    def _step(self, step: int) -> int:
        """Step ``step`` (from 0); the steps done then, fewer than before where the run went back."""
        start, board = time.perf_counter(), self.training.board
        board.begin_step(step + 1)
        factor = lr_factor(self.training.spec.schedule, step)
        replayed_s = board.spent_in("replay")
        try:
            if self.crew is None:
                result = self.training.step(step, factor, skip_if_not_finite=True)
            else:
                self.crew.bad_in_a_row = self._bad_in_a_row
                result = self.crew.step(step, factor, self.interrupt.requested)
        except Miscomputed as found:
            return self._compute_again(step, found)
        values = step_values(result, factor)
        board.end_step()
        seconds = time.perf_counter() - start
        if (replayed_s := board.spent_in("replay") - replayed_s) > 0:
            self.recorder.replayed(step + 1, replayed_s, seconds - replayed_s, self.training.spec.compute.replay_every)
        policy, gone_back = self.training.spec.optimizer, len(self._rollbacks.all)
        decision = on_step(result.kept, self._bad_in_a_row, policy, gone_back)
        if decision == "keep":
            self._bad_in_a_row = 0
            self.recorder.step(step + 1, values, seconds)
            return step + 1
        if decision == "roll-back":
            return self._go_back(step, values)
        self._bad_in_a_row += 1
        self.recorder.skipped(step + 1, values, seconds, self._bad_in_a_row, STOP_AFTER)
        if decision == "stop":
            when = f"in {self._bad_in_a_row} steps in a row, the last of them step {step + 1}"
            if policy.bad_steps != "skip":
                when = f"in step {step + 1}" + f", after {gone_back} rollbacks" * (policy.bad_steps == "roll-back")
            raise self._diverged(when)
        return step + 1

    def _compute_again(self, step: int, found: Miscomputed) -> int:
        """A gradient of step ``step`` (from 0) that ranks disagreed on is not kept; the steps done."""
        self.training.board.at("writing")
        self.recorder.miscomputed(step, found)
        if not found.sure or self._miscomputed == step:
            raise self._stopped(f"{found} in step {step + 1}", "; leave that host out, and the run goes on from there")
        self._miscomputed = step
        return step

    def _go_back(self, step: int, values: dict[str, float]) -> int:
        """From the bad step ``step`` (from 0); the steps done then."""
        self._tell(step)
        self.training.board.at("checkpoint")
        done = self._rollbacks.go_back(step, values["loss"], values["grad_norm"])
        self.training.board.at("writing")
        self.training.board.take()  # told as the time between two attempts
        self._saved, self._bad_in_a_row = done, 0
        return done

    def _save(self, step: int, *, in_memory: bool = False) -> None:
        """Weights that are not finite never become a checkpoint. After a good step they are, and are not looked at."""
        if not self._writes:
            self._saved = step
            return
        if self._bad_in_a_row and self.training.wished(not self.training.is_finite()):
            raise self._diverged(f"in step {step}, and the weights are damaged")
        if self.crew is None and self.training.spec.compute.compare_replicas_every:
            self._compare_replicas(step)
        self.training.board.at("checkpoint")
        self.recorder.sync()
        if in_memory and self.checkpoints.memory is not None:
            self.checkpoints.memory.save(step, self.training.state())
        else:
            self.checkpoints.save(step, self.training.state())
            self._saved = step
        self.training.board.at("writing")
        self._tell(step)  # an attempt may go on from here: its account begins where this one is cut

    def _compare_replicas(self, step: int) -> None:
        """What differs never becomes a checkpoint."""
        if differing := self.crew.differing(step) if self.crew else self.training.differing_replicas():
            raise self._stopped(
                f"{differing} after step {step}", "; leave that host out, and the run goes on from there"
            )

    def _diverged(self, when: str) -> InputError:
        return self._stopped(
            f"loss or gradient were not finite, or stood out, {when}", "; begin again with a lower optimizer.lr"
        )

    def _stopped(self, why: str, what_to_do: str = "; the same command goes on from there") -> InputError:
        with suppress(InputError):  # why a checkpoint under way could not be written says nothing more
            self.checkpoints.finish()
        return InputError(f"{self.recorder.folder.path}: stopped: {why}; {self.checkpoints.last_good()}{what_to_do}")

    def _validate(self, step: int, limit: int | None) -> Evaluation | None:
        """Score about ``limit`` batches of the validation split, or, with progress, all of it; nothing if stopped."""
        if not self._writes:
            return None
        training = self.training
        split = training.corpus.split("validation")

        def progress(tokens: int) -> None:
            if training.wished(self.interrupt.requested):
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
