"""How `kolossos train` shows itself: on stderr a live bar on a terminal, a line now and then in a log; the outcome."""

import json as json_format
import sys
import time
from collections.abc import Mapping
from types import TracebackType

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kolossos.runs.events import finite_or_null
from kolossos.runs.paths import RunPaths
from kolossos.train.loop import Outcome

SECONDS_BETWEEN_LINES = 10.0


class TrainingDisplay:
    """A `kolossos.train.recorder.Watcher`. The bar appears with the first step."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = self._console.is_terminal
        self._last_line = 0.0
        self._tokens_per_s = 0.0
        self._step: TaskID | None = None
        self._evaluation: TaskID | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[values]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )

    def __enter__(self) -> "TrainingDisplay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress.live.is_started:
            self._progress.stop()

    def say(self, text: str) -> None:
        """A line; above the bar where there is one."""
        if self._progress.live.is_started:
            self._progress.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def step(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Loss, speed (running mean) and share of the peak after a step."""
        speed = values["tokens_per_s"]
        self._tokens_per_s = speed if not self._tokens_per_s else 0.9 * self._tokens_per_s + 0.1 * speed
        mfu = values["mfu"] * self._tokens_per_s / speed
        text = f"loss {values['loss']:.3f}  {self._tokens_per_s:,.0f} tokens/s  MFU {mfu:.1%}"
        if self._live:
            self._progress.start()
            if self._step is None:
                self._step = self._progress.add_task("train", total=steps, values=text, completed=step - 1)
            self._progress.update(self._step, completed=step, values=text)
        elif step == steps or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            left = (steps - step) * values["step_s"]
            self.say(f"step {step:,}/{steps:,}  {text}  {left:,.0f} s left")

    def evaluating(self, tokens: int, total: int) -> None:
        """Progress of the validation at the end."""
        if not self._live:
            return
        self._progress.start()
        if self._step is not None:
            self._progress.remove_task(self._step)
            self._step = None
        if self._evaluation is None:
            self._evaluation = self._progress.add_task("validate", total=total, values="")
        self._progress.update(self._evaluation, completed=tokens)


def show_outcome(outcome: Outcome, json: bool) -> None:
    """Print how the run ended."""
    if outcome.nothing_to_do:
        print(f"{outcome.folder} is finished already, nothing to do; --fresh begins again", file=sys.stderr, flush=True)
    if json:
        values = {"run": str(outcome.folder), "step": outcome.step, "finished": outcome.finished}
        values["seconds"] = outcome.seconds
        if outcome.finished:
            score = outcome.evaluation
            values["validation_loss"] = score.loss if score else None
            values["bits_per_byte"] = score.bits_per_byte if score else None
        typer.echo(json_format.dumps(finite_or_null(values), allow_nan=False))
        return
    if not outcome.finished:
        typer.echo(f"stopped and saved at step {outcome.step:,}; go on with: kolossos train {outcome.folder}")
        return
    typer.echo(f"finished after {outcome.step:,} steps; plot: {RunPaths(outcome.folder).loss_plot}")
    typer.echo(f"chat with it: kolossos chat {outcome.folder}")
