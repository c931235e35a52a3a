"""How `kolossos train` shows itself: on stderr a live bar on a terminal, a line now and then in a log; the outcome."""

import json as json_format
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column

from kolossos.cli.show.text import printable
from kolossos.runs.events import finite_or_null
from kolossos.runs.goodput import Goodput, read_goodput
from kolossos.runs.paths import RunPaths
from kolossos.train.lifecycle.outcome import Outcome

SECONDS_BETWEEN_LINES = 10.0
NARROW = 60  # columns below which there is no bar
STOPPED = 75  # EX_TEMPFAIL of sysexits.h: the same command goes on


class TrainingDisplay:
    """A `kolossos.train.recorder.Watcher`. The bar appears with the first step."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = self._console.is_terminal
        self._last_line = 0.0
        self._tokens_per_s = 0.0
        self._step: TaskID | None = None
        self._evaluation: TaskID | None = None
        whole = Column(no_wrap=True, overflow="crop")  # its text is made to fit: no number is cut
        bar = [BarColumn(bar_width=24)] if self._console.width >= NARROW else []
        self._progress = Progress(
            TextColumn("{task.description}", table_column=whole),
            *bar,
            TaskProgressColumn(),
            TextColumn("{task.fields[values]}", table_column=whole, markup=False),
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
            self._progress.print(printable(text), highlight=False, markup=False, soft_wrap=True)
        else:
            print(printable(text), file=sys.stderr, flush=True)

    def step(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Loss, speed (running mean) and share of the peak after a step."""
        speed = values["tokens_per_s"]
        self._tokens_per_s = speed if not self._tokens_per_s else 0.9 * self._tokens_per_s + 0.1 * speed
        mfu = values["mfu"] * self._tokens_per_s / speed
        pieces = [f"loss {values['loss']:.3f}", f"{self._tokens_per_s:,.0f} tokens/s", f"MFU {mfu:.1%}"]
        text = "  ".join(pieces)
        if self._live:
            text = self._fitting(pieces)
            self._progress.start()
            if self._step is None:
                self._step = self._progress.add_task("train", total=steps, values=text, completed=step - 1)
            self._progress.update(self._step, completed=step, values=text)
        elif step == steps or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            left = (steps - step) * values["step_s"]
            self.say(f"step {step:,}/{steps:,}  {text}  {left:,.0f} s left")

    def _fitting(self, pieces: list[str]) -> str:
        """As many of ``pieces``, whole, as there is room for beside what is always shown."""
        width = self._console.width
        room = width - len("train 100% 0:00:00 ") - (25 if width >= NARROW else 0)
        text = ""
        for piece in pieces:
            longer = f"{text}  {piece}" if text else piece
            if len(longer) > room:
                break
            text = longer
        return text

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


def exit_code(outcome: Outcome) -> int:
    """What the command tells a script: 0 is said of a finished run alone."""
    if outcome.finished:
        return 0
    if outcome.stopped_by is not None and outcome.at_once:
        return 128 + outcome.stopped_by
    return STOPPED


def show_outcome(outcome: Outcome, json: bool) -> None:
    """Print how the run ended; to a terminal that is closed by now: nothing."""
    with suppress(OSError):
        _show(outcome, json)
        sys.stdout.flush()


def goodput_line(found: Goodput) -> str:
    """Where the time of a run went, largest parts first, in a line."""
    parts = sorted(found.parts.items(), key=lambda part: -part[1])
    told = ", ".join(f"{name.replace('_', ' ')} {seconds / found.wall_s:.0%}" for name, seconds in parts if seconds > 0)
    attempts = f" in {found.attempts:,} attempts" if found.attempts > 1 else ""
    again = f", {found.steps_redone:,} steps done again" if found.steps_redone else ""
    return f"{found.wall_s:,.0f} s{attempts}{again}: {told}"


def _show(outcome: Outcome, json: bool) -> None:
    folder = printable(str(outcome.folder))
    if outcome.nothing_to_do:
        print(f"{folder} is finished already, nothing to do; --fresh begins again", file=sys.stderr, flush=True)
    if json:
        values = {"run": str(outcome.folder), "step": outcome.step, "finished": outcome.finished}
        values["seconds"] = outcome.seconds
        found = read_goodput(RunPaths(outcome.folder).time)
        values["goodput"] = found.as_values() if found else None
        values["stopped_by"] = outcome.stopped_by.name if outcome.stopped_by else None
        if outcome.finished:
            score = outcome.evaluation
            values["validation_loss"] = score.loss if score else None
            values["bits_per_byte"] = score.bits_per_byte if score else None
        typer.echo(json_format.dumps(finite_or_null(values), allow_nan=False))
        return
    if not outcome.finished:
        how = "ended at once; the last checkpoint is of" if outcome.at_once else "stopped and saved at"
        typer.echo(f"{how} step {outcome.step:,}; go on with: kolossos train {folder}")
        return
    typer.echo(f"finished after {outcome.step:,} steps; plot: {printable(str(RunPaths(outcome.folder).loss_plot))}")
    if found := read_goodput(RunPaths(outcome.folder).time):
        typer.echo(goodput_line(found))
    typer.echo(f"chat with it: kolossos chat {folder}")
