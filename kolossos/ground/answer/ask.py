"""From a question to an answer: search, compare every sentence found, quote the best or say that nothing was found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.ground.answer.answer import Answer, Conflict, Quotation
from kolossos.ground.answer.candidates import candidates, evidence
from kolossos.ground.answer.conflicts import conflicts
from kolossos.ground.answer.features import Candidate, names_of, table
from kolossos.ground.answer.question import Question, read_question
from kolossos.ground.answer.support import shares_of, summary, support_names
from kolossos.ground.answer.vectors import Cosines
from kolossos.ground.answer.weights import Weights, probability, read_weights
from kolossos.ground.rarity import rarities
from kolossos.ground.source import Hit, Passage, Query, Searcher
from kolossos.ground.words import stems, words

PASSAGES = 10  # that are read for an answer
DEEPER, DEEPEST = 4, 2_560  # so many times more are looked at, up to so many, where passages are no evidence
NEAREST = 3  # shown where nothing was found
LONGEST_QUESTION = 2_000  # characters
NOTED = "the note comes first: readers rated it helpful on the post that says otherwise"
OTHER_ENCODER = "the probabilities were calibrated with another embedding model: take them as an order, not as shares"


@dataclass(frozen=True)
class Considered:
    """A question with every sentence that was compared, best first."""

    question: Question
    sentences: tuple[Passage, ...]
    compared: tuple[Candidate, ...]
    rows: np.ndarray  # features [sentences, features]
    scores: np.ndarray  # [sentences], falling
    support: float
    right: float
    left_out: int
    hits: tuple[Hit, ...]


class Asker:
    """Answers questions out of whatever a Searcher searches. As many threads at a time as the searcher bears."""

    def __init__(
        self, searcher: Searcher, encoder: Any = None, weights: Weights | None = None, least: float | None = None
    ) -> None:
        """``encoder``: for vectors of sentences; None compares by words alone. ``least``: support for an answer."""
        if least is not None and not 0 <= least <= 1:
            raise InputError(f"least support {least:g} is no probability; give a number from 0 to 1")
        self.searcher = searcher
        self.encoder = encoder
        self.weights = weights or read_weights(encoder is not None)
        self.least = self.weights.least if least is None else least
        rarities: Callable[[Sequence[str]], Sequence[float]] | None = getattr(searcher, "rarities", None)
        self._rarities = rarities
        self._cosines = Cosines(encoder) if encoder is not None else None
        known = getattr(encoder, "identity", self.weights.encoder) == self.weights.encoder
        self._remarks = () if known else (OTHER_ENCODER,)

    def ask(self, query: Query) -> Answer:
        """The best sentence, or two where the first may not hold it; none where support is below the least."""
        return self.answer(self.consider(query))

    def consider(self, query: Query, hits: Sequence[Hit] | None = None) -> Considered:
        """Every sentence of the passages found (``hits``, where the search was done), compared with the question."""
        if not any(letter.isalnum() for letter in query.text):
            raise InputError("the question has no words; ask one, such as: who founded it?")
        if len(query.text) > LONGEST_QUESTION:
            raise InputError(f"the question has {len(query.text):,} characters; at most {LONGEST_QUESTION:,} are read")
        found, left_out = self._found(query) if hits is None else evidence(query.text, hits)
        question = read_question(query.text, query.language or "en", self._rarities or _among(found))
        sentences, compared = candidates(found, query.text)
        alike = self._cosines.of(query.text, [s.text for s in sentences]) if self._cosines else None
        rows = table(question, compared, alike)
        dense = self.encoder is not None
        scores = self.weights.sentence.of(names_of(dense), rows) if len(rows) else np.zeros(0)
        order = np.argsort(-scores, kind="stable")
        about, names = summary(rows, scores, dense), support_names(dense)
        log_odds = [float(linear.of(names, about)) for linear in (self.weights.support, self.weights.right)]
        support, right = (probability(x) if len(scores) else 0.0 for x in log_odds)
        return Considered(
            question=question,
            sentences=tuple(sentences[i] for i in order),
            compared=tuple(compared[i] for i in order),
            rows=rows[order],
            scores=scores[order],
            support=support,
            right=min(support, right),
            left_out=left_out,
            hits=tuple(found),
        )

    def _found(self, query: Query) -> tuple[list[Hit], int]:
        """The first passages that are evidence, and how many were none: whoever plants a hundred crowds out nobody."""
        count = PASSAGES
        while True:
            hits = self.searcher.search(query, count)
            kept, left_out = evidence(query.text, hits)
            if len(kept) >= PASSAGES or len(hits) < count or count >= DEEPEST:
                return kept[:PASSAGES], left_out
            count *= DEEPER

    def answer(self, considered: Considered) -> Answer:
        """What is quoted of what was considered."""
        made = Answer(
            question=considered.question.text,
            quotations=(),
            nearest=_distinct(considered.sentences, NEAREST),
            support=considered.support,
            right=considered.right,
            least=self.least,
            remarks=self._remarks,
            left_out=considered.left_out,
        )
        if not considered.sentences or considered.support < self.least:
            return made
        quoting = replace(
            made,
            quotations=_distinct(considered.sentences, self.enough(considered)),
            nearest=(),
            conflicts=conflicts(considered.question, considered.sentences, considered.compared, considered.scores),
        )
        return noted_first(quoting)

    def enough(self, considered: Considered) -> int:
        """Sentences to quote: two where the best is not clearly the best."""
        return 1 if shares_of(considered.scores)[0] >= self.weights.second else 2


def noted_first(answer: Answer) -> Answer:
    """Where the first quotation's post carries a Helpful note that says otherwise, the note comes first."""
    first = answer.quotations[0]
    for place, conflict in enumerate(answer.conflicts):
        if any(conflict.quotation.text in note.text for note in first.notes):
            others = (*answer.conflicts[:place], *answer.conflicts[place + 1 :])
            return replace(
                answer,
                quotations=(conflict.quotation, *answer.quotations[1:]),
                conflicts=(Conflict(first, conflict.about), *others),
                right=None,
                remarks=(*answer.remarks, NOTED),
            )
    return answer


def _among(hits: Sequence[Hit]) -> Callable[[Sequence[str]], Sequence[float]]:
    """Rarities among the passages found, where a searcher tells none of all its passages."""
    found = [frozenset(stems(hit.passage.text, hit.passage.source.language or "en")) for hit in hits]
    return lambda terms: rarities([sum(term in each for each in found) for term in terms], len(found))


def _distinct(sentences: Sequence[Passage], count: int) -> tuple[Quotation, ...]:
    """The first ``count`` that do not say the same words."""
    found: dict[tuple[str, ...], Quotation] = {}
    for sentence in sentences:
        found.setdefault(tuple(words(sentence.text)), Quotation(sentence.source, sentence.start, sentence.end))
        if len(found) == count:
            break
    return tuple(found.values())
