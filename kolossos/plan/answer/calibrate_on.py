"""Measured steps of one's own, from a CSV file, to a job whose coefficients are moved by them."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kolossos.errors import InputError, nearest
from kolossos.plan.answer.layout_text import read_layout
from kolossos.plan.calibrated.shifts import NAMES, Shifts
from kolossos.plan.calibrated.update import Array, load_prior, narrowing, posterior
from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.closed_form.step import step_seconds
from kolossos.plan.job import Job
from kolossos.plan.rules.check import check
from kolossos.specs.catalogue import load_model
from kolossos.specs.layout import Layout

COLUMNS = ("layout", "step_time_s", "model", "gpus", "seq_len", "global_batch")
NEEDED = ("layout", "step_time_s")
STEP = 1e-3
"""Of a coefficient's logarithm, for slopes."""
ROUNDS = 4
"""Of linearising again where the last one led; the slopes hardly change."""
MOST_ROWS, MOST = 200, 1e12


@dataclass(frozen=True)
class MeasuredStep:
    """One row: a step of ``layout`` under ``job`` that took so many seconds."""

    where: str
    job: Job
    layout: Layout
    step_time_s: float

    def log_steps(self, shifts_RC: Array) -> Array:
        """The logarithm of the predicted seconds under each row of shifted coefficients, [R]."""
        shifts = dict(zip(NAMES, shifts_RC.T, strict=True))
        setting = replace(self.job, shifts=shifts).setting_of([self.layout] * len(shifts_RC))
        kernels = layer_kernels(setting.model, setting.hardware, setting.layout)
        return np.log(step_seconds(kernels, setting).step)

    def linear(self, shifts_C: Array) -> tuple[float, Array]:
        """The logarithm of the predicted seconds there, and its slopes [C] by the coefficients' logarithms."""
        here, *moved = self.log_steps(shifts_C + STEP * np.vstack([np.zeros(len(NAMES)), np.eye(len(NAMES))]))
        return here, (np.array(moved) - here) / STEP


@dataclass(frozen=True)
class Calibration:
    """What the rows changed.

    shifts: the moved coefficients. errors: log(predicted / measured) of each row before and after. slopes: of the rows.
    """

    steps: tuple[MeasuredStep, ...]
    shifts: Shifts
    errors: tuple[tuple[float, float], ...]
    slopes: Array

    def applied(self, job: Job) -> Job:
        """``job`` under the moved coefficients."""
        return replace(job, shifts=self.shifts)

    def narrowing(self, job: Job, layout: Layout) -> float:
        """How wide a prediction's error is after the rows, over before."""
        _, slopes_C = MeasuredStep("", job, layout, 1.0).linear(np.array([self.shifts[name] for name in NAMES]))
        return narrowing(slopes_C, self.slopes, load_prior())

    def record(self, narrowed: float) -> dict[str, object]:
        """As plain values."""
        rows = [
            {"row": step.where, "measured_s": step.step_time_s, "error_before": before, "error_after": after}
            for step, (before, after) in zip(self.steps, np.expm1(self.errors).tolist(), strict=True)
        ]
        factors = {f"{kind}.{name}": float(np.exp(log)) for (kind, name), log in self.shifts.items()}
        return {"rows": rows, "factors": factors, "interval_narrowed": narrowed}


def calibrate(job: Job, file: Path) -> Calibration:
    """Read ``file`` and move the coefficients of ``job``.

    Raises:
        InputError: the file, with the row and the column that is wrong.
    """
    steps, prior = read_steps(job, file), load_prior()
    measured = np.log([step.step_time_s for step in steps])
    shifts_C = np.zeros(len(NAMES))
    before, slopes = _linear(steps, shifts_C)
    predicted = before
    for _ in range(ROUNDS):
        # where a straight line through this point has coefficients that were never moved
        shifts_C = posterior(predicted - slopes @ shifts_C - measured, slopes, prior)
        predicted, slopes = _linear(steps, shifts_C)
    errors = zip((before - measured).tolist(), (predicted - measured).tolist(), strict=True)
    return Calibration(tuple(steps), dict(zip(NAMES, shifts_C.tolist(), strict=True)), tuple(errors), slopes)


def _linear(steps: list[MeasuredStep], shifts_C: Array) -> tuple[Array, Array]:
    predicted, slopes = zip(*(step.linear(shifts_C) for step in steps), strict=True)
    return np.array(predicted), np.stack(slopes)


def read_steps(job: Job, file: Path) -> list[MeasuredStep]:
    """The rows of a CSV: layout, step_time_s, and model, gpus, seq_len, global_batch where other than the job's."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            reader = csv.DictReader(opened)
            rows, columns = list(reader), reader.fieldnames or []
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: not a CSV file: {error}") from None
    for name in NEEDED:
        if name not in columns:
            others = "model, gpus, seq_len, global_batch where they differ from the plan's"
            raise InputError(f"{file}: no column '{name}'; expected layout, step_time_s and {others}")
    for name in columns:
        if name not in COLUMNS:
            raise InputError(f"{file}: unknown column '{name}'{nearest(str(name), COLUMNS)}")
    if not 1 <= len(rows) <= MOST_ROWS:
        raise InputError(f"{file}: {len(rows)} rows: expected 1 to {MOST_ROWS} measured steps")
    return [_step(job, row, f"{file}, row {number}") for number, row in enumerate(rows, start=1)]


def _step(job: Job, row: dict[str, str], where: str) -> MeasuredStep:
    seconds = _number(row, "step_time_s", where)
    if seconds is None:
        raise InputError(f"{where}, column step_time_s: empty; expected seconds")
    changes: dict[str, object] = {}
    try:
        if row.get("model"):
            changes["model"] = load_model(row["model"])
        for column, field, kind in (
            ("gpus", "n_gpus", int),
            ("seq_len", "seq_len", int),
            ("global_batch", "batch", float),
        ):
            if (value := _number(row, column, where)) is not None:
                changes[field] = kind(value)
        own = replace(job, **changes)  # pyright: ignore[reportArgumentType]
        if not (row["layout"] or "").strip():
            raise InputError("column layout: empty; expected tp=8,pp=4,...")
        layout = read_layout(row["layout"], own)
        own = own.with_layout(layout)
        check(layout, own.bounds, own.setting_of([layout]).layout)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return MeasuredStep(where, own, layout, seconds)


def _number(row: dict[str, str], column: str, where: str) -> float | None:
    text = (row.get(column) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    seconds = column == "step_time_s"
    if not 0 < value < MOST or not (seconds or value.is_integer()):
        kind = "seconds above 0" if seconds else "a whole number above 0"
        raise InputError(f"{where}, column {column}: {text[:40]!r}: expected {kind}")
    return value
