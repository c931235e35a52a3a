"""A measurement from end to end: a set, sources, every question asked, a report written."""

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.ground.answer.answer import Answer
from kolossos.ground.answer.ask import Asker, Considered
from kolossos.ground.answer.session import open_sources
from kolossos.ground.answer.written.choose import choose
from kolossos.ground.answer.written.client import ChatModel
from kolossos.ground.measure.evaluate import curves, evaluate, halves, peak_memory_bytes, summarise, to_json
from kolossos.ground.measure.report import TITLES, write_report
from kolossos.ground.measure.sets import QuestionSet, read_set
from kolossos.ground.memory import Memory, whole


@dataclass(frozen=True)
class Measurement:
    """What is measured. sources: an index; None takes the set's own texts. embed: an embedding model for those.
    least: support from which an answer is given. writer: a language model that chooses what is quoted."""

    questions: Path
    sources: str | None
    embed: Path | None
    least: float | None
    writer: ChatModel | None


def measure(what: Measurement, out: Path, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Ask every question and write report.md, report.html, report.json and plots into ``out``; returns the report."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; a report is written into a folder")
    questions = read_set(what.questions)
    asker = _asker(what, questions)
    started = time.perf_counter()
    rows = evaluate(questions, asker, _write(what.writer), progress)
    taken_s = time.perf_counter() - started
    parts = {name: found for name, found in halves(rows).items() if found}
    report = {
        "set": questions.name,
        "sources": what.sources or "the set's own texts",
        "date": datetime.date.today().isoformat(),
        "vectors": getattr(asker.encoder, "identity", "") if asker.encoder is not None else "",
        "by": what.writer.name if what.writer else "quoting",
        "figures": {name: summarise(found, asker.least) for name, found in parts.items()},
        "titles": TITLES,
        "seconds": round(taken_s, 3),
        "peak_memory_bytes": peak_memory_bytes(),
        "curves": curves(parts.get("held out", rows)),
        "rows": [to_json(row) for row in rows],
    }
    write_report(report, out)
    return {name: value for name, value in report.items() if name not in ("curves", "rows")}


def _asker(what: Measurement, questions: QuestionSet) -> Asker:
    if what.sources is not None:
        searcher, encoder = open_sources(what.sources)
        return Asker(searcher, encoder, least=what.least)
    if not questions.sources:
        raise InputError(f"{what.questions} carries no texts of its own: name an index of the sources")
    encoder = None
    if what.embed is not None:
        from kolossos.ground.embed import Embedder

        encoder = Embedder(what.embed)
    return Asker(Memory(map(whole, questions.sources), encoder), encoder, least=what.least)


def _write(writer: ChatModel | None) -> Callable[[Answer, Considered], Answer] | None:
    if writer is None:
        return None
    return lambda answer, considered: choose(answer, considered, writer)
