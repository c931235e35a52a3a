"""A calibration on the screen: its progress on stderr, its figures on stdout."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kolossos.calibrate.run import Calibration
from kolossos.cli.show.text import table_console
from kolossos.specs.gpu import GpuSpec


class CalibrationDisplay:
    """The progress on stderr: a live bar on a terminal, a line for each stage in a log."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description:28}"), BarColumn(bar_width=32), TimeElapsedColumn())
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._progress.add_task("calibrate", total=1.0)
        self._stage, self._shown = "", 0.0

    def __enter__(self) -> "CalibrationDisplay":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, share: float) -> None:
        """A `kolossos.calibrate.run.Progress`."""
        if self._console.is_terminal:
            if time.monotonic() - self._shown > 0.1 or stage != self._stage:
                self._shown = time.monotonic()
                self._progress.update(self._task, description=stage, completed=share)
        elif stage != self._stage:
            print(f"{share:4.0%}  {stage}", file=sys.stderr, flush=True)
        self._stage = stage


def show_calibration(spec: GpuSpec, calibration: Calibration) -> None:
    """What was measured and fitted, and how far a fit is off on what it did not see."""
    measured, memory = spec.measured, calibration.memory
    assert measured is not None
    table = Table(
        "measured", "", "fit", box=None, padding=(0, 1), title=f"{measured.machine}, {measured.threads} threads"
    )
    for precision, fit in measured.products.items():
        rate = f"{spec.peak(precision) / 1e9:,.0f} GFLOP/s"
        table.add_row(
            f"products, {precision}: peak", rate, f"held-out error {fit.held_out_error:.0%} of {fit.n_shapes}"
        )
    table.add_row(
        "memory: copy, triad", f"{memory.copy_bytes_per_s / 1e9:.1f}, {memory.triad_bytes_per_s / 1e9:.1f} GB/s"
    )
    table.add_row("one small operation", f"{memory.operation_s * 1e6:.1f} us")
    for precision, fit in measured.attention.items():
        rates = (fit.rate_flops_per_s / 1e9, fit.backward_rate_flops_per_s / 1e9)
        shown = f"{rates[0]:,.0f}, {rates[1]:,.0f} GFLOP/s"
        table.add_row(f"attention, {precision}: forward, backward", shown, f"held-out error {fit.held_out_error:.0%}")
    for fit in measured.collectives:
        shown = f"{fit.latency_s * 1e6:,.0f} us + bytes / {fit.bandwidth_bytes_per_s / 1e9:.2f} GB/s"
        table.add_row(f"{fit.kind}, {fit.ranks} ranks, {fit.backend}", shown, f"fit error {fit.fit_error:.0%}")
    if spec.idle is not None and measured.load_watts is not None:
        table.add_row("power: idle, load", f"{spec.idle:.0f}, {measured.load_watts:.0f} W")
    console = table_console()
    console.print(table)
    console.print(
        f"Best of rounds; the median round took {measured.spread:.0%} longer. Other programs used "
        f"{measured.busy_cores:.1f} cores. {calibration.seconds:.0f} s in all."
    )
    for note in calibration.notes:
        console.print(note[0].upper() + note[1:] + ".")
