"""Why a note has its status: which rules acted, what each compared, which single change would give another."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.score.columns import CRH, CRNH
from kolossos.notes.score.rules import Rule, Standing, Test, apply_rules, derived
from kolossos.notes.score.run import Scoring, note_index

CHANGEABLE = ("intercept", "factor", "netMinHelpful", "lowDiligenceNoteIntercept")
_STEP = 1e-6


@dataclass(frozen=True)
class Compared:
    """One comparison of a rule on one note."""

    column: str
    value: float | None
    sign: str
    limit: float | None
    holds: bool


@dataclass(frozen=True)
class RuleAnswer:
    """A rule on one note: whether it acted, on what standing, and its comparisons (of the alternative that held)."""

    name: str
    result: str
    standing: str
    allowed: bool
    acted: bool
    tests: tuple[Compared, ...]
    label: str


@dataclass(frozen=True)
class Change:
    """The smallest move of one quantity alone that changes the core status, and to what."""

    column: str
    now: float
    needed: float
    status: str


@dataclass(frozen=True)
class Explanation:
    """Everything about one note's status."""

    note_id: int
    final_status: str
    core_status: str
    judged: bool
    decided_by: str
    meta_rules: list[str]
    ratings: int
    rules: list[RuleAnswer]
    changes: list[Change]


def explain(scoring: Scoring, note_id: int) -> Explanation:
    """Explain the status of note ``note_id``.

    Raises:
        InputError: the note is in neither the notes nor the status history.
    """
    n = note_index(scoring.world, note_id)
    if n < 0:
        raise InputError(f"note {note_id} is in neither the notes nor the status history of these tables")
    core = scoring.core
    columns = {name: values[n : n + 1] for name, values in core.columns.items()}
    answers = _answers(core.verdicts.rules, columns)
    return Explanation(
        note_id=note_id,
        final_status=str(scoring.final.status_N[n]),
        core_status=str(core.verdicts.status_N[n]),
        judged=bool(core.judged_N[n]),
        decided_by=[a.name for a in answers if a.acted][-1],
        meta_rules=list(scoring.final.active_rules_N[n]),
        ratings=int(columns["numRatings"][0]),
        rules=answers,
        changes=_changes(core.verdicts.rules, columns, str(core.verdicts.status_N[n])),
    )


def _number(value: Any) -> float | None:
    number = float(np.asarray(value).ravel()[0])
    return None if np.isnan(number) else number


def _compared(test: Test, columns: dict[str, np.ndarray]) -> Compared:
    return Compared(
        test.column,
        _number(columns[test.column]),
        test.sign,
        _number(test.limits(columns)),
        bool(np.asarray(test.holds(columns)).ravel()[0]),
    )


def _answers(rules: tuple[Rule, ...], columns: dict[str, np.ndarray]) -> list[RuleAnswer]:
    status = np.array([""], dtype=object)
    answers = []
    for rule in rules:
        matches = rule.matches(columns, status)[:, 0]
        allowed = bool(rule.standing.holds(status)[0])
        shown = int(np.argmax(matches)) if matches.any() else _nearest(rule, columns)
        tests = tuple(_compared(test, columns) for test in rule.alternatives[shown])
        label = rule.labels[shown] if rule.labels else ""
        standing = "" if rule.standing is Standing.ANY else rule.standing.value
        answers.append(RuleAnswer(rule.official, rule.result, standing, allowed, bool(matches.any()), tests, label))
        if matches.any():
            status[0] = rule.result
    return answers


def _nearest(rule: Rule, columns: dict[str, np.ndarray]) -> int:
    """The alternative of a rule that did not act which comes nearest: most tests hold, then the largest share."""
    held = [sum(_compared(test, columns).holds for test in tests) for tests in rule.alternatives]
    values = [_compared(tests[-1], columns).value or 0.0 if tests else 0.0 for tests in rule.alternatives]
    return max(range(len(held)), key=lambda k: (held[k], values[k]))


def _status_with(rules: tuple[Rule, ...], columns: dict[str, np.ndarray], name: str, value: float) -> str:
    moved = dict(columns)
    moved[name] = np.array([value])
    return str(apply_rules(rules, derived(moved)).status_N[0])


def _candidates(rules: tuple[Rule, ...], columns: dict[str, np.ndarray], name: str) -> list[float]:
    """Every value at which a comparison with ``name`` turns, on either side of it."""
    turns = []
    for rule in rules:
        for tests in rule.alternatives:
            for test in tests:
                limit = _number(test.limits(columns))
                if limit is None:
                    continue
                if test.column == name:
                    turns.append(limit)
                if name == "factor" and test.column == "absFactor":
                    turns += [limit, -limit]
                if name == "factor" and test.limit == "diamond":
                    intercept = _number(columns["intercept"])
                    if intercept is not None and intercept < -0.05:
                        turns += [(-0.05 - intercept) / 0.8, -(-0.05 - intercept) / 0.8]
    step = 1.0 if name == "netMinHelpful" else _STEP
    return sorted({turn + side for turn in turns for side in (-step, 0.0, step)})


def _changes(rules: tuple[Rule, ...], columns: dict[str, np.ndarray], status: str) -> list[Change]:
    """For each quantity and each other status reachable by moving it alone, the smallest move."""
    found: list[Change] = []
    for name in CHANGEABLE:
        now = _number(columns[name])
        if now is None:
            continue
        nearest: dict[str, Change] = {}
        at = now
        for value in sorted(_candidates(rules, columns, name), key=lambda v, at=at: abs(v - at)):
            reached = _status_with(rules, columns, name, value)
            if reached != status and reached not in nearest:
                nearest[reached] = Change(name, now, value, reached)
        found += nearest.values()
    order = {CRH: 0, CRNH: 1}
    return sorted(found, key=lambda change: (order.get(change.status, 2), abs(change.needed - change.now)))
