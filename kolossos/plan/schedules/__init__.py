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

    Schedules that share a formula (one inherits it from the other) are asked once, for all their rows.
    """
    forms: dict[object, tuple[Callable[..., Any], Mask]] = {}
    for schedule in all_schedules():
        mine = rows_of(schedule, layout)
        if np.any(mine):
            form = ask(schedule)
            shared = forms.get(form.__func__)  # type: ignore[attr-defined]
            forms[form.__func__] = (form, mine | shared[1] if shared else mine)  # type: ignore[attr-defined]
    if not np.all(np.logical_or.reduce([rows for _, rows in forms.values()])):
        raise ValueError("a layout's schedule is none of those in plan.schedules")
    answers = [(form(*arguments), rows) for form, rows in forms.values()]
    whole, _ = answers[0]
    for answer, rows in answers[1:]:
        whole = _choose(rows, answer, whole)
    return whole


def _choose(rows: Mask, yes: Any, no: Any) -> Any:
    if isinstance(no, tuple):
        return type(no)(*(_choose(rows, a, b) for a, b in zip(yes, no, strict=True)))  # type: ignore[call-arg]
    return np.where(rows, yes, no)
