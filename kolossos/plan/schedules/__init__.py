"""Pipeline schedules: each one object in one file here, found by its file; ``Layout`` allows its name."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.plan.choices import NAMES
from kolossos.plan.columns import LayoutColumns
from kolossos.plan.schedules.schedule import Mask, Schedule


@cache
def all_schedules() -> tuple[Schedule, ...]:
    """Every schedule that ``Layout`` allows, by code; ValueError for a name without an object, and the reverse."""
    modules = (import_module(f"{__name__}.{path.stem}") for path in sorted(Path(__file__).parent.glob("*.py")))
    found = {module.SCHEDULE.name: module.SCHEDULE for module in modules if hasattr(module, "SCHEDULE")}
    if set(found) != set(NAMES["schedule"]):
        raise ValueError(f"Layout allows the schedules {NAMES['schedule']}, and {__name__} describes {tuple(found)}")
    return tuple(found[name] for name in NAMES["schedule"])


def schedule_of_code(number: float) -> Schedule:
    """The schedule with this code in columns."""
    return all_schedules()[int(number)]


def rows_of(schedule: Schedule, layout: LayoutColumns) -> Mask:
    """Which rows have ``schedule``."""
    return layout.schedule == schedule.code


def splits_backward(layout: LayoutColumns) -> Mask:
    """Rows whose weight gradients are passes of their own; without a pipeline none are."""
    split = np.zeros(np.shape(layout.schedule), dtype=bool)
    for schedule in all_schedules():
        if schedule.splits_backward:
            split = split | rows_of(schedule, layout)
    return split & (layout.pp > 1)


def by_schedule(layout: LayoutColumns, ask: Callable[[Schedule], Callable[..., Any]], *arguments: object) -> Any:
    """What each row's own schedule answers: a column, or a tuple of columns. ValueError for a code that is none.

    Schedules that share a formula (one inherits it from the other) are asked once, for all their rows; where all do,
    no row is looked at.
    """
    forms: dict[object, tuple[Callable[..., Any], list[Schedule]]] = {}
    for schedule in all_schedules():
        form = ask(schedule)
        forms.setdefault(getattr(form, "__func__", form), (form, []))[1].append(schedule)
    if len(forms) == 1:
        return next(iter(forms.values()))[0](*arguments)
    whole, priced = None, np.zeros(np.shape(layout.schedule), dtype=bool)
    for form, schedules in forms.values():
        mine = np.logical_or.reduce([rows_of(schedule, layout) for schedule in schedules])
        if np.any(mine):
            answer = form(*arguments)
            whole = answer if whole is None else _choose(mine, answer, whole)
            priced = priced | mine
    if not np.all(priced):
        raise ValueError("a layout's schedule is none of those in plan.schedules")
    return whole


def _choose(rows: Mask, yes: Any, no: Any) -> Any:
    if isinstance(no, tuple):
        return type(no)(*(_choose(rows, a, b) for a, b in zip(yes, no, strict=True)))  # type: ignore[call-arg]
    return np.where(rows, yes, no)
