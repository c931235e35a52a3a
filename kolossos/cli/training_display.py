"""The progress line of a training run on stderr: a live bar on a terminal, a line now and then in a log."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from kolossos.specs.run import RunSpec

SECONDS_BETWEEN_LINES = 10.0


class TrainingDisplay:
    """A `kolossos.train.loop.Watcher`."""

    def __init__(self, spec: RunSpec):
        self._steps = spec.schedule.steps
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._last_line = 0.0
        self._tokens_per_s = 0.0
        self._task = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[values]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._live,
        )

    @staticmethod
    def say_plainly(text: str) -> None:
        """A line on stderr outside the block."""
        print(text, file=sys.stderr, flush=True)

    def __enter__(self) -> "TrainingDisplay":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._live:
            self._progress.print(text, highlight=False)
        else:
            self.say_plainly(text)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Loss, speed (running mean) and share of the peak after a step."""
        speed = values["tokens_per_s"]
        self._tokens_per_s = speed if not self._tokens_per_s else 0.9 * self._tokens_per_s + 0.1 * speed
        mfu = values["mfu"] * self._tokens_per_s / speed
        text = f"loss {values['loss']:.3f}  {self._tokens_per_s:,.0f} tokens/s  MFU {mfu:.1%}"
        if self._live:
            if self._task is None:
                self._task = self._progress.add_task("train", total=self._steps, values=text, completed=step - 1)
            self._progress.update(self._task, completed=step, values=text)
        elif step == self._steps or time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            left = (self._steps - step) * values["step_s"]
            self.say_plainly(f"step {step:,}/{self._steps:,}  {text}  {left:,.0f} s left")

    def evaluating(self, tokens: int, total: int) -> None:
        """Progress of the validation at the end."""
        if not self._live:
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
            self._evaluation = self._progress.add_task("validate", total=total, values="")
        self._progress.update(self._evaluation, completed=tokens)
