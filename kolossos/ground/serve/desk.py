"""What the page asks for, as JSON: answers with each quotation in its source, claims, results of a search."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kolossos.ground.answer.answer import Quotation
from kolossos.ground.answer.ask import Asker
from kolossos.ground.answer.session import plain_query
from kolossos.ground.answer.written.choose import choose
from kolossos.ground.answer.written.client import ChatModel
from kolossos.ground.check.claims import Checker, Claim
from kolossos.ground.presented import as_json
from kolossos.ground.query import parse_query
from kolossos.ground.results import find

AROUND = 4_000  # characters of a source before and after a quotation
MOST_WAITING = 16


class Busy(Exception):
    """More is waiting than is taken."""


class Desk:
    """Answers one request after another: a searcher and an embedding model are for one thread at a time."""

    def __init__(self, asker: Asker, model: ChatModel | None = None) -> None:
        self._asker = asker
        self._checker = Checker(asker.searcher, asker.encoder)
        self._model = model
        self._turn = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_WAITING)

    def about(self) -> dict[str, Any]:
        """What the page says of itself."""
        return {
            "model": self._model.name if self._model else None,
            "vectors": self._asker.encoder is not None,
            "least_support": self._asker.least,
        }

    def ask(self, question: str) -> dict[str, Any]:
        """An answer; each quotation with ``before`` and ``after`` in its source."""
        query = plain_query(question)
        with self._alone():
            considered = self._asker.consider(query)
            answer = self._asker.answer(considered)
            if self._model is not None:
                answer = choose(answer, considered, self._model)
        return {
            **answer.to_json(),
            "quotations": [placed(q) for q in answer.quotations],
            "nearest": [placed(q) for q in answer.nearest],
            "conflicts": [{"about": c.about, **placed(c.quotation)} for c in answer.conflicts],
        }

    def check(self, text: str) -> dict[str, Any]:
        """Claims with verdicts."""
        with self._alone():
            claims = self._checker.check(text)
        return {
            "claims": [{**claim.to_json(), "quotations": _evidence(claim)} for claim in claims],
            "remarks": list(self._checker.remarks),
        }

    def search(self, text: str, count: int) -> dict[str, Any]:
        """Results of a search, the matched words of a snippet as parts."""
        with self._alone():
            results = find(self._asker.searcher, parse_query(text), count)
        shown = as_json(results)
        for each, result in zip(shown, results, strict=True):
            passage = result.hit.passage
            each["parts"] = [[part, marked] for part, marked in result.snippet.parts()]
            each["place"] = placed(Quotation(passage.source, passage.start, passage.end))
        return {"results": shown}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            with self._turn:
                yield
        finally:
            self._places.release()


def _evidence(claim: Claim) -> list[dict[str, Any]]:
    return [{"stance": stance, **placed(q)} for stance, q in zip(claim.stances, claim.quotations, strict=True)]


def placed(quotation: Quotation) -> dict[str, Any]:
    """A quotation with the text around it, so that a page needs no offsets."""
    text = quotation.source.text
    first, last = max(0, quotation.start - AROUND), min(len(text), quotation.end + AROUND)
    return {
        **quotation.to_json(),
        "before": ("…" if first else "") + text[first : quotation.start],
        "after": text[quotation.end : last] + ("…" if last < len(text) else ""),
    }
