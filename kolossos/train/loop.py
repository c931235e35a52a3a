"""The training loop: what comes next (a step, a validation, a checkpoint, the end), and going on exactly."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kolossos.errors import InputError
from kolossos.train.bad_steps import STOP_AFTER, on_step
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.evaluate import Evaluation, spread_batches
from kolossos.train.interrupt import Interrupt
from kolossos.train.recorder import Recorder, step_values
from kolossos.train.schedule import lr_factor
from kolossos.train.setup import Training


@dataclass
class Outcome:
    """How the run in ``folder`` (or this part of it) ended.

    evaluation: of the whole validation split, at the end only; None where nothing was held out.
    nothing_to_do: the run was finished before.
    """

    folder: Path
    step: int
    finished: bool
    seconds: float
    evaluation: Evaluation | None = None
    nothing_to_do: bool = False


@dataclass
class Loop:
    """Runs ``training`` from where its checkpoints stand to its last step."""

    training: Training
    checkpoints: CheckpointFolder
    recorder: Recorder
    _saved: int = field(init=False, default=0)
    _bad_in_a_row: int = field(init=False, default=0)

    def run(self) -> Outcome:
        """Train; a first Ctrl-C ends after the step under way, with a checkpoint.

        Raises:
            InputError: too many steps in a row with a loss or gradient that is not finite (bad_steps.py).
        """
        start_time = time.perf_counter()
        spec = self.training.spec
        steps = spec.schedule.steps
        done = self._saved = self._resume()
        with self.recorder.recording(done):
            with Interrupt() as interrupt:
                while done < steps and not self.training.wished(interrupt.requested):
                    self._step(done)
                    done += 1
                    if _is_due(done, spec.evaluate.every) and done < steps:
                        self._validate(done, spec.evaluate.batches)
                    if _is_due(done, spec.checkpoint.every) and done < steps:
                        self._save(done)
            if done > self._saved:
                self._save(done)
            evaluation = self._validate(done, None) if done == steps else None
            self.checkpoints.finish()
        return Outcome(self.recorder.folder.path, done, done == steps, time.perf_counter() - start_time, evaluation)

    def _resume(self) -> int:
        checkpoint = self.checkpoints.newest_good(self.recorder.say)
        if checkpoint is None:
            return 0
        checkpoint.load(self.training.state())
        return checkpoint.step

    def _step(self, step: int) -> None:
        start = time.perf_counter()
        factor = lr_factor(self.training.spec.schedule, step)
        result = self.training.step(step, factor, skip_if_not_finite=True)
        values = step_values(result, factor)
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
        if self._bad_in_a_row and not all(p.isfinite().all() for p in self.training.model.parameters()):
            raise self._diverged(f"in step {step}, and the weights are damaged")
        self.checkpoints.save(step, self.training.state())
        self._saved = step

    def _diverged(self, when: str) -> InputError:
        self.checkpoints.finish()
        good = self.checkpoints.all()
        last = f"the last checkpoint is of step {good[-1].step}" if good else "there is no checkpoint"
        return InputError(
            f"{self.recorder.folder.path}: stopped: loss or gradient were not finite {when}; {last}; "
            f"begin again with a lower optimizer.lr"
        )

    def _validate(self, step: int, limit: int | None) -> Evaluation | None:
        """Score about ``limit`` batches of the validation split, or, with progress, all of it."""
        training = self.training
        split = training.corpus.split("validation")

        def progress(tokens: int) -> None:
            if limit is None:
                self.recorder.evaluating(tokens, split.n_tokens)

        evaluation = training.evaluate(spread_batches(split, training.spec, limit), progress)
        self.recorder.evaluation(step, evaluation, training.model_for_samples())
        return evaluation


def seconds_per_step(training: Training, steps: int = 3) -> float:
    """Time of a step once everything is compiled; leaves the training at step 0."""
    times = []
    for step in range(steps + 1):
        start = time.perf_counter()
        training.step(step, 0.0).loss.item()
        times.append(time.perf_counter() - start)
    training.restart()
    if training.device.type == "cuda":
        torch.cuda.synchronize()
    return min(times[1:])


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
