"""The training loop: steps, metrics, validation, checkpoints; stops cleanly on Ctrl-C and goes on exactly."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import torch

from kolossos.data.corpus.batches import validation_batches
from kolossos.model.decoder import Decoder
from kolossos.specs.counts import training_flops_per_token
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.evaluate import Evaluation, evaluate
from kolossos.train.interrupt import Interrupt
from kolossos.train.metrics import Metrics
from kolossos.train.run_folder import RunFolder
from kolossos.train.schedule import lr_factor
from kolossos.train.setup import Training
from kolossos.train.step import StepResult, train_step
from kolossos.train.tokens import micro_batches


class Watcher(Protocol):
    """Hears what happens in a run; the command line shows it."""

    def say(self, text: str) -> None: ...

    def step(self, step: int, values: dict[str, float]) -> None: ...

    def evaluating(self, tokens: int, total: int) -> None: ...


@dataclass
class Outcome:
    """How a run (or this part of it) ended. ``evaluation`` is of the whole validation split, at the end only."""

    step: int
    finished: bool
    seconds: float
    evaluation: Evaluation | None = None


@dataclass
class Loop:
    """Runs ``training`` from where its folder stands to its last step.

    sample: writes text with the model as it is, or None.
    """

    training: Training
    folder: RunFolder
    peak_flops: float
    watcher: Watcher
    sample: Callable[[Decoder], str] | None = None
    checkpoints: CheckpointFolder = field(init=False)

    def __post_init__(self) -> None:
        self.checkpoints = self.folder.checkpoints()

    def run(self) -> Outcome:
        """Train; a first Ctrl-C ends after the step under way, with a checkpoint."""
        start_time = time.perf_counter()
        done = self._resume()
        metrics = Metrics(self.folder.metrics_path, self.folder.path / "tensorboard", done)
        steps = self.training.spec.schedule.steps
        saved = done
        try:
            with Interrupt() as interrupt:
                while done < steps and not interrupt.requested:
                    self._step(done, metrics)
                    done += 1
                    if self._is_due(done, self.training.spec.evaluate.every) and done < steps:
                        self._validate(done, metrics)
                    if self._is_due(done, self.training.spec.checkpoint.every) and done < steps:
                        self.checkpoints.save(done, self.training.state())
                        saved = done
            if done > saved:
                self.checkpoints.save(done, self.training.state())
            evaluation = self._finish(done, metrics) if done == steps else None
            self.checkpoints.finish()
        finally:
            metrics.close()
        return Outcome(done, done == steps, time.perf_counter() - start_time, evaluation)

    def _resume(self) -> int:
        checkpoint = self.checkpoints.newest_good(self.watcher.say)
        if checkpoint is None:
            return 0
        checkpoint.load(self.training.state())
        return checkpoint.step

    def _step(self, step: int, metrics: Metrics) -> None:
        training, spec = self.training, self.training.spec
        start = time.perf_counter()
        batches = micro_batches(training.batches, step, spec.layout, spec.data.mask_documents, training.device)
        result = train_step(
            training.model,
            training.optimizer,
            batches,
            spec.layout.accumulation_steps,
            spec.loss,
            training.dtype,
            lr_factor(spec.schedule, step),
        )
        values = step_values(result, lr_factor(spec.schedule, step))
        seconds = time.perf_counter() - start
        tokens = spec.layout.global_batch_size * spec.layout.seq_len
        values["tokens"] = float((step + 1) * tokens)
        values["step_s"] = seconds
        values["tokens_per_s"] = tokens / seconds
        flops = training_flops_per_token(spec.model, spec.layout.seq_len) * tokens
        values["mfu"] = flops / seconds / self.peak_flops
        metrics.write(step + 1, "train", **values)
        self.watcher.step(step + 1, values)
        if not math.isfinite(values["loss"]):
            self.watcher.say(f"step {step + 1}: the loss is {values['loss']}; a lower learning rate may help")

    def _validate(self, step: int, metrics: Metrics) -> None:
        limit = self.training.spec.evaluate.batches
        self._record(evaluation_of(self.training, limit), step, metrics)
        self._write_sample(step)

    def _finish(self, step: int, metrics: Metrics) -> Evaluation:
        evaluation = evaluation_of(self.training, None, self.watcher.evaluating)
        self._record(evaluation, step, metrics)
        self._write_sample(step)
        return evaluation

    def _record(self, evaluation: Evaluation, step: int, metrics: Metrics) -> None:
        metrics.write(
            step,
            "validation",
            validation_loss=evaluation.loss,
            bits_per_byte=evaluation.bits_per_byte,
            n_tokens=evaluation.tokens,
            n_bytes=evaluation.n_bytes,
        )
        self.watcher.say(
            f"step {step}: validation loss {evaluation.loss:.3f} nats/token, {evaluation.bits_per_byte:.3f} bits/byte "
            f"on {evaluation.tokens:,} tokens"
        )

    def _write_sample(self, step: int) -> None:
        if self.sample is None or self.training.spec.evaluate.sample_tokens == 0:
            return
        folder = self.folder.path / "samples"
        folder.mkdir(exist_ok=True)
        (folder / f"step-{step:08d}.txt").write_text(self.sample(self.training.model), encoding="utf-8")

    @staticmethod
    def _is_due(step: int, every: int) -> bool:
        return every > 0 and step % every == 0


def step_values(result: StepResult, factor: float) -> dict[str, float]:
    """Waits for the device and turns a step's tensors into numbers (names as in metrics.UNITS)."""
    values = {"loss": result.loss.item(), "lr_factor": factor, "grad_norm": result.grad_norm.item()}
    if result.load_LE is not None and result.balance is not None and result.z is not None:
        values["balance"] = result.balance.item()
        values["router_z"] = result.z.item()
        load = result.load_LE.clamp(min=1e-12)
        entropy = -(load * load.log()).sum(-1).mean() / math.log(load.shape[-1])
        values["load_entropy"] = entropy.item()
    return values


def evaluation_of(
    training: Training, limit: int | None, progress: Callable[[int, int], None] = lambda *_: None
) -> Evaluation:
    """Validation loss on about ``limit`` batches spread over the split, or on all of it."""
    split, spec = training.corpus.split("validation"), training.spec
    n_batches = -(-split.n_tokens // (spec.layout.micro_batch_size * spec.layout.seq_len))
    stride = 1 if limit is None else -(-n_batches // limit)
    batches = validation_batches(split, spec.layout.seq_len, spec.layout.micro_batch_size, spec.data.mask_documents)
    return evaluate(
        training.model,
        islice(batches, 0, None, stride),
        training.bytes_of_token,
        training.dtype,
        training.device,
        lambda tokens: progress(tokens, split.n_tokens),
    )


def seconds_per_step(training: Training, steps: int = 3) -> float:
    """Time of a step once everything is compiled; leaves the training at step 0."""
    spec = training.spec
    times = []
    for step in range(steps + 1):
        start = time.perf_counter()
        batches = micro_batches(training.batches, step, spec.layout, spec.data.mask_documents, training.device)
        result = train_step(
            training.model, training.optimizer, batches, spec.layout.accumulation_steps, spec.loss, training.dtype, 0.0
        )
        result.loss.item()
        times.append(time.perf_counter() - start)
    training.restart()
    if training.device.type == "cuda":
        torch.cuda.synchronize()
    return min(times[1:])
