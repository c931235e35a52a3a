"""A set of questions, each asked twice: with everything there, and with its article taken away."""

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kolossos.ground.answer.answer import Answer, Quotation
from kolossos.ground.answer.ask import PASSAGES, Asker
from kolossos.ground.measure import figures
from kolossos.ground.measure.sets import Asked, QuestionSet, holds, is_tuning
from kolossos.ground.source import Query, Source

Write = Callable[[Answer, Any], Answer]  # by a model: the answer again, of what was considered


@dataclass(frozen=True)
class Row:
    """One question. ``rank``: of its passage, 0 if not found; ``first``, ``held``: the first sentence, or any quoted
    one before abstaining, holds the gold text; ``quoted``: sentences of the answer, ``holding`` of them holding it.
    ``support_away``: support without its article, None where nothing could be taken away."""

    id: str
    group: str
    answerable: bool
    rank: int
    first: bool
    held: bool
    support: float
    right: float
    quoted: int
    holding: int
    verbatim: bool
    by: str
    support_away: float | None
    right_away: float
    quoted_away: int
    seconds: float


def evaluate(
    questions: QuestionSet, asker: Asker, write: Write | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Row]:
    """A row for every question of the set."""
    groups: dict[str, set[str]] = defaultdict(set)
    for asked in questions.questions:
        if asked.group and asked.source:
            groups[asked.group].add(asked.source)
    names = {source.text: source.key for source in questions.sources}
    rows = []
    for number, asked in enumerate(questions.questions, 1):
        rows.append(_row(asked, asker, write, groups[asked.group] if asked.group else set(), names))
        if progress:
            progress(number, len(questions.questions))
    return rows


def _row(asked: Asked, asker: Asker, write: Write | None, away: set[str], names: dict[str, str]) -> Row:
    query = Query(asked.question)

    def key(source: Source) -> str:
        return names.get(source.text, source.key)

    start = time.perf_counter()
    considered = asker.consider(query)
    answer = asker.answer(considered)
    if write is not None and answer.found:
        answer = write(answer, considered)
    seconds = time.perf_counter() - start
    would = [
        Quotation(s.source, s.start, s.end)
        for s in considered.sentences[: asker.enough(considered) if considered.sentences else 0]
    ]
    right = [_right(q, asked, key(q.source)) for q in would]
    found = [key(hit.passage.source) for hit in considered.hits]
    support_away, right_away, quoted_away = None, 0.0, 0
    if away:
        hits = asker.searcher.search(query, PASSAGES + len(away))
        without = asker.consider(query, [hit for hit in hits if key(hit.passage.source) not in away][:PASSAGES])
        support_away, right_away = without.support, without.right
        quoted_away = len(asker.answer(without).quotations)
    return Row(
        id=asked.id,
        group=asked.group,
        answerable=bool(asked.gold),
        rank=found.index(asked.source) + 1 if asked.source in found else 0,
        first=bool(right) and right[0],
        held=any(right),
        support=considered.support,
        right=considered.right,
        quoted=len(answer.quotations),
        holding=sum(_right(q, asked, key(q.source)) for q in answer.quotations),
        verbatim=all(q.text == q.source.text[q.start : q.end] and q.text for q in answer.quotations),
        by=answer.by,
        support_away=support_away,
        right_away=right_away,
        quoted_away=quoted_away,
        seconds=seconds,
    )


def _right(quotation: Quotation, asked: Asked, key: str) -> bool:
    """Whether a quotation holds the gold text, or is the very place that it was taken from."""
    return holds(quotation.text, asked.gold) or (key == asked.source and quotation.start <= asked.at < quotation.end)


def halves(rows: list[Row]) -> dict[str, list[Row]]:
    """All rows, and by the half of their articles: weights were fitted on one half of XQuAD's, never on the other."""
    return {
        "held out": [r for r in rows if not is_tuning(r.group or r.id)],
        "tuning half": [r for r in rows if is_tuning(r.group or r.id)],
        "all": rows,
    }


@dataclass(frozen=True)
class _Stated:
    """What was stated of every asking, and what was so: with the answer there, and without."""

    there: np.ndarray
    away: np.ndarray
    right: np.ndarray  # stated for both, in that order
    was_right: np.ndarray

    @property
    def support(self) -> np.ndarray:
        return np.concatenate([self.there, self.away])

    @property
    def is_there(self) -> np.ndarray:
        return np.concatenate([np.ones(len(self.there)), np.zeros(len(self.away))])


def _stated(rows: list[Row]) -> _Stated:
    """A question without an answer counts as one whose article was taken away."""
    asked, none = [r for r in rows if r.answerable], [r for r in rows if not r.answerable]
    removed = [r for r in rows if r.support_away is not None]
    away = [r.support for r in none] + [r.support_away or 0.0 for r in removed]
    right = [r.right for r in asked] + [r.right for r in none] + [r.right_away for r in removed]
    was_right = [float(r.first) for r in asked] + [0.0] * len(away)
    return _Stated(np.array([r.support for r in asked]), np.array(away), np.array(right), np.array(was_right))


def summarise(rows: list[Row], least: float) -> dict[str, Any]:
    """The figures of some rows. Without an answer: questions that have none, and those whose article was taken away."""
    asked, stated = [r for r in rows if r.answerable], _stated(rows)
    there, away = stated.there, stated.away
    both = len(there) and len(away)
    answered = [r for r in asked if r.quoted]
    quoted = sum(r.quoted for r in answered)
    seconds = np.array([r.seconds for r in rows]) if rows else np.full(1, np.nan)
    ranks = [r.rank for r in asked]
    return {
        "questions": len(rows),
        "ndcg_10": figures.ndcg(ranks),
        "recall_1": figures.recall(ranks, 1),
        "recall_10": figures.recall(ranks, 10),
        "first_sentence_right": _share([r.first for r in asked]),
        "answer_right": _share([r.held for r in asked]),
        "quoted_mean": quoted / len(answered) if answered else float("nan"),
        "answered_right": _share([r.holding > 0 for r in answered]),
        "citation_precision": sum(r.holding for r in answered) / quoted if quoted else float("nan"),
        "citation_recall": _share([r.holding > 0 for r in asked]),
        "verbatim": _share([r.verbatim for r in rows]),
        "least_support": least,
        "answered": _share([bool(r.quoted) for r in asked]),
        "answered_without": float((away >= least).mean()) if len(away) else float("nan"),
        "answered_without_at_90": figures.at_coverage(there, away, 0.9) if both else float("nan"),
        "area": figures.auroc(there, away),
        "support_calibration_error": figures.calibration_error(stated.support, stated.is_there),
        "right_calibration_error": figures.calibration_error(stated.right, stated.was_right),
        "seconds_median": float(np.median(seconds)),
        "seconds_p99": float(np.quantile(seconds, 0.99)),
    }


def curves(rows: list[Row]) -> dict[str, Any]:
    """What is drawn: the abstention curve and how often what was stated came true."""
    stated = _stated(rows)
    least, answered, wrongly = figures.coverage_curve(stated.there, stated.away)
    return {
        "least": least.tolist(),
        "answered": answered.tolist(),
        "answered_without": wrongly.tolist(),
        "support_bins": figures.reliability(stated.support, stated.is_there),
        "right_bins": figures.reliability(stated.right, stated.was_right),
    }


def peak_memory_bytes() -> int:
    """Of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def to_json(row: Row) -> dict[str, Any]:
    return asdict(row)


def _share(values: list[bool]) -> float:
    return sum(values) / len(values) if values else float("nan")
