"""All that a run writes and says, apart from checkpoints. The one place that knows which rank does so.

Every rank has a recorder and calls it alike; on all but the writer (rank 0) it does nothing.

Where a disk takes no more, events that cannot be written are an OSError that ends the run: a run goes on exactly only
with all of them. Curves, samples, plot and environment are left out, which is said once. A watcher that cannot be heard
(a closed terminal) ends nothing.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from kolossos.files import write_failure, write_whole
from kolossos.model.chunks import Held
from kolossos.model.decoder import Decoder
from kolossos.runs.environment import Environment
from kolossos.runs.events import EventFile, Kind, Value, read_events
from kolossos.runs.folder import RunFolder
from kolossos.runs.goodput import TimeFile
from kolossos.runs.plot import plot_run
from kolossos.runs.prometheus import served
from kolossos.runs.rollbacks import Rollback
from kolossos.runs.step_times import StepTimes, slowest, times_of_ranks, together
from kolossos.runs.tensorboard import TensorBoard
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.run import RunSpec
from kolossos.train.lifecycle.outcome import Evaluation
from kolossos.train.step import StepResult
from kolossos.train.watch.replay import Miscomputed

RANKS_DRAWN = 16  # the slowest ones
RECENT = 64  # events that a rank remembers, in case it has to go on writing for another

Sample = Callable[[Decoder], str]
"""Writes text with the model as it is."""


class Watcher(Protocol):
    """Hears what happens in a run; the command line shows it."""

    def say(self, text: str) -> None: ...

    def step(self, step: int, steps: int, values: Mapping[str, float]) -> None: ...

    def evaluating(self, tokens: int, total: int) -> None: ...


class Logger(Protocol):
    """Keeps the events of a run, as METRICS in kolossos/runs/events.py names them."""

    def write(self, step: int, kind: Kind, values: Mapping[str, Value]) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


class Recorder:
    """Writes into ``folder`` and tells ``watcher``. ``sample`` is asked for a text after every validation."""

    def __init__(
        self,
        folder: RunFolder,
        watcher: Watcher,
        environment: Environment,
        *,
        sample: Sample | None = None,
        is_writer: bool = True,
    ):
        self.folder, self._watcher, self._environment, self._sample = folder, watcher, environment, sample
        self.is_writer = is_writer
        self._loggers: list[Logger] = []
        self._left_out: set[str] = set()
        self._time: TimeFile | None = None
        self._held: ExitStack | None = None
        self._recent: deque[tuple[int, Kind, dict[str, Value]]] = deque(maxlen=RECENT)
        self._told_cost = False
        self._made_s = time.monotonic()
        self._unix_s = time.time() - self._made_s  # a clock that is set meanwhile moves no part

    def make_folder(self, tokenizer: Path, *, replace: bool = False) -> None:
        """Make the folder of a new run; ``replace``: in place of the one that is there."""
        if self.is_writer:
            RunFolder.create(self.folder.path, self.folder.spec, tokenizer, replace=replace)

    def adopt(self, spec: RunSpec, step: int = 0) -> None:
        """Go on with an existing run under ``spec``, with the first ``step`` steps as they are."""
        if self.is_writer:
            self.folder.adopt(spec, step)

    def refit(self, steps: int) -> RunSpec:
        """The run under another number of steps, chosen by time."""
        if self.is_writer:
            self.folder.refit(steps)
        return self.folder.spec

    @contextmanager
    def recording(self, resume_step: int) -> Iterator[None]:
        """Inside the block events are written; those after ``resume_step`` of an interrupted part are dropped first."""
        with ExitStack() as held:
            self._held = held
            if self.is_writer:
                self._begin(resume_step, time.monotonic() - self._made_s)
            yield

    def take_over(self, step: int) -> None:
        """Go on writing, with ``step`` steps done, in place of a writer that is gone; inside `recording`.

        What it had not written down of the last steps is written now.
        """
        if self.is_writer:
            return
        self.is_writer = True
        metrics = self.folder.files.metrics
        written = max((event["step"] for event in read_events(metrics)), default=0) if metrics.exists() else 0
        self._begin(step, 0.0)
        for at, kind, values in self._recent:
            if written < at <= step:
                self._write(at, kind, values)

    def _begin(self, resume_step: int, before_s: float) -> None:
        files, held = self.folder.files, self._held
        assert held is not None
        held.callback(self._end)
        with self._optional(files.environment.name):
            self._environment.write(files.environment)
        self._open(resume_step, before_s)
        if port := self.folder.spec.compute.metrics_port:
            held.enter_context(served(self.folder.path, port, self.folder.spec.layout.world_size))

    def _open(self, resume_step: int, before_s: float) -> None:
        files = self.folder.files
        self._loggers = [EventFile(files.metrics, resume_step)]
        with self._optional("TensorBoard's curves"):
            self._loggers.append(TensorBoard(files.tensorboard, resume_step))
        with self._optional(files.time.name):
            self._time = TimeFile(files.time)
            self._time.begin(self._unix_s + time.monotonic(), resume_step, before_s)

    def _end(self) -> None:
        for logger in self._loggers:
            logger.close()
        self._loggers = []
        if self._time is not None:
            self._time.close()
            self._time = None

    def spent(self, step: int, parts: Mapping[str, float]) -> None:
        """Where the time since this was last told went, with ``step`` steps done."""
        if self._time is not None:
            with self._optional(self.folder.files.time.name):
                self._time.spent(self._unix_s + time.monotonic(), step, parts)

    def took(self, step: int, times: StepTimes, *, curves: bool) -> None:
        """How long the steps of this rank took so far; every rank tells. ``curves``: those of all ranks are drawn."""
        with suppress(OSError):
            times.write(self.folder.files.steps_of(times.rank))
        for logger in self._loggers[1:] if curves else ():
            assert isinstance(logger, TensorBoard)
            with self._optional("TensorBoard's curves"):
                logger.write_tags(step, _tags(times_of_ranks(self.folder.path, self.folder.spec.layout.world_size)))

    def sync(self) -> None:
        """What was written is on the disk when this returns; OSError if it cannot be."""
        for logger in self._loggers:
            logger.sync()

    def scored(self, step: int) -> bool:
        """Whether the validation after ``step`` is written down; only the writer knows."""
        metrics = self.folder.files.metrics
        return (
            self.is_writer
            and metrics.exists()
            and any(event["step"] == step for event in read_events(metrics, "validation"))
        )

    def say(self, text: str) -> None:
        if self.is_writer:
            with suppress(OSError):
                self._watcher.say(text)

    def step(self, step: int, values: Mapping[str, float], seconds: float) -> None:
        """A step (counted from 1) that was kept; ``values`` as from `step_values`."""
        all_values = self._with_speed(step, values, seconds)
        self._write(step, "train", all_values)
        if self.is_writer:
            with suppress(OSError):
                self._watcher.step(step, self.folder.spec.schedule.steps, all_values)

    def skipped(self, step: int, values: Mapping[str, float], seconds: float, in_a_row: int, stop_after: int) -> None:
        """A step that changed nothing, the ``in_a_row``-th in a row."""
        self._write(step, "skipped", self._with_speed(step, values, seconds))
        self.say(
            f"step {step}: skipped, for its loss is {values['loss']:.3g} and its gradient norm "
            f"{values['grad_norm']:.3g} ({in_a_row} in a row; {stop_after} end the run); a lower learning rate may help"
        )

    def went_back(self, rollback: Rollback, left_out: int, *, again: bool = False) -> None:
        """The run went back: events behind that step are dropped. ``again``: only what a run that ended did not write.

        left_out: global batches that no step reads for it.
        """
        metrics, to = self.folder.files.metrics, rollback.to
        if again:
            told = read_events(metrics, "rolled-back") if self.is_writer and metrics.exists() else []
            if not self.is_writer or any((e["step"], e["from_step"]) == (to, rollback.bad_step) for e in told):
                return
        elif self.is_writer:
            self._end()
            self._open(to, 0.0)
        loss, norm = (math.nan if x is None else x for x in (rollback.loss, rollback.grad_norm))
        values = {"from_step": rollback.bad_step, "batches_left_out": left_out, "loss": loss, "grad_norm": norm}
        self._write(to, "rolled-back", values)
        self.say(
            f"step {rollback.bad_step}: going back to step {to}, for its loss is {loss:.3g} and its gradient norm "
            f"{norm:.3g}; {left_out} batches are left out"
        )

    def miscomputed(self, step: int, found: Miscomputed) -> None:
        """Behind ``step`` ranks disagreed on a gradient."""
        named = {"wrong_ranks": found.ranks, "compared_ranks": found.compared}
        values = {key: ", ".join(f"rank {rank} on {host}" for rank, host in ranks) for key, ranks in named.items()}
        self._write(step, "miscomputed", {**values, "sure": int(found.sure)})
        self.say(f"step {step + 1}: not kept: {found}")

    def replayed(self, step: int, seconds: float, step_s: float, every: int) -> None:
        """What a replay cost, said of the first one that no longer compiles anything."""
        if not self._told_cost and step > every:
            self._told_cost = True
            self.say(
                f"step {step}: its gradients were computed a second time in {seconds:.3g} s, beside {step_s:.3g} s: "
                f"with one step in {every} so that is {seconds / every / step_s:.1%} of the time"
            )

    def evaluating(self, tokens: int, total: int) -> None:
        """Progress of a validation."""
        if self.is_writer:
            with suppress(OSError):
                self._watcher.evaluating(tokens, total)

    def evaluation(self, step: int, evaluation: Evaluation | None, model: Held) -> None:
        """A score of held-out text after ``step``, None where there is no such text; and a sample."""
        if evaluation is None:
            self._write(step, "validation", {"n_tokens": 0, "n_bytes": 0})
            self.say(f"step {step}: not scored, for the data holds no validation text: nothing was held out")
        else:
            self._write(step, "validation", score_values(evaluation))
            self.say(
                f"step {step}: validation loss {evaluation.loss:.3f} nats/token, "
                f"{evaluation.bits_per_byte:.3f} bits/byte on {evaluation.tokens:,} tokens"
            )
        if self._sample is not None and self.is_writer:
            with self._optional("samples"):
                path = self.folder.files.sample(step)
                path.parent.mkdir(exist_ok=True)
                text = self._sample(model)  # type: ignore[arg-type]  # whole, where there are samples
                write_whole(path, text.encode(errors="replace"))

    def plot(self) -> None:
        """Draw what was recorded so far."""
        if self.is_writer:
            title = f"{self.folder.path.resolve().name}: {self.folder.spec.model.name}"
            with self._optional("the plot"):
                plot_run(self.folder.files.metrics, self.folder.files.loss_plot, title)

    def _write(self, step: int, kind: Kind, values: Mapping[str, Value]) -> None:
        if not self.is_writer:
            self._recent.append((step, kind, dict(values)))
        for events in self._loggers[:1]:
            events.write(step, kind, values)
        for curves in self._loggers[1:]:
            with self._optional("TensorBoard's curves"):
                curves.write(step, kind, values)
                continue
            self._loggers.remove(curves)
            curves.close()

    @contextmanager
    def _optional(self, what: str) -> Iterator[None]:
        """Leave ``what`` out if it cannot be written, and say so once."""
        try:
            yield
        except OSError as error:
            if what not in self._left_out:
                self.say(f"{self.folder.path}: {write_failure(error)}: going on without {what}")
            self._left_out.add(what)

    def _with_speed(self, step: int, values: Mapping[str, float], seconds: float) -> dict[str, float]:
        peak = self._environment.measured_peak_flops or math.inf
        return {**values, **speed_values(self.folder.spec, step, seconds, peak)}


def step_values(result: StepResult, factor: float) -> dict[str, float]:
    """Waits for the device and turns a step's tensors into metrics."""
    values = {"loss": result.loss.item(), "lr_factor": factor, "grad_norm": result.grad_norm.item()}
    if result.load_LE is not None and result.balance is not None and result.z is not None:
        values["balance"] = result.balance.item()
        values["router_z"] = result.z.item()
        load = result.load_LE.clamp(min=1e-12)
        entropy = -(load * load.log()).sum(-1).mean() / math.log(load.shape[-1])
        values["load_entropy"] = entropy.item()
    return values


def speed_values(spec: RunSpec, step: int, seconds: float, peak_flops: float) -> dict[str, float]:
    """How far ``step`` (from 1) has come and how fast it was, as metrics."""
    tokens = spec.layout.global_batch_size * spec.layout.seq_len
    flops = training_flops_per_token(spec.model, spec.layout.seq_len) * tokens
    return {
        "tokens": float(step * tokens),
        "step_s": seconds,
        "tokens_per_s": tokens / seconds,
        "mfu": flops / seconds / peak_flops,
    }


def _tags(ranks: list[StepTimes]) -> dict[str, float]:
    """Curves of the percentiles of a step and of its parts, of the slowest ranks and of all together."""
    named = [("all", together(ranks))] + [(f"rank-{one.rank}", one) for one in slowest(ranks, RANKS_DRAWN)]
    return {
        f"{part}_s/{quantile}/{name}": seconds
        for name, times in named
        for part, of_part in times.percentiles().items()
        for quantile, seconds in of_part.items()
    }


def score_values(evaluation: Evaluation) -> dict[str, float]:
    """A score as metrics."""
    return {
        "validation_loss": evaluation.loss,
        "bits_per_byte": evaluation.bits_per_byte,
        "n_tokens": evaluation.tokens,
        "n_bytes": evaluation.n_bytes,
    }
