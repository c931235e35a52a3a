"""Sources that say otherwise than the sentence that was chosen, among those that answer nearly as well."""

from collections.abc import Sequence

import numpy as np

from kolossos.ground.answer.answer import Conflict, Quotation
from kolossos.ground.answer.contrast import figures, negated, numbers, years
from kolossos.ground.answer.features import Candidate
from kolossos.ground.answer.question import Question
from kolossos.ground.source import Passage

WITHIN = 3.0  # of the best score, in log odds
LEAST_SAID = 0.5  # share of the question's words, of what the chosen sentence says of them
ALIKE = 0.5  # shared stems of two sentences, of the shorter one's, for a denial to be one of the same thing
MOST = 3


def conflicts(
    question: Question, sentences: Sequence[Passage], compared: Sequence[Candidate], scores: np.ndarray
) -> tuple[Conflict, ...]:
    """Sentences of other sources that conflict with the best one, best first, at most MOST."""
    order = np.argsort(-scores, kind="stable")
    best = int(order[0])
    found: list[Conflict] = []
    for other in map(int, order[1:]):
        if scores[best] - scores[other] > WITHIN or len(found) == MOST:
            break
        if sentences[other].source.key == sentences[best].source.key:
            continue
        if not _about_the_same(question, compared[best], compared[other]):
            continue
        if about := difference(
            question, (sentences[best].text, compared[best]), (sentences[other].text, compared[other])
        ):
            place = sentences[other]
            found.append(Conflict(Quotation(place.source, place.start, place.end), about))
    return tuple(found)


def difference(question: Question, one: tuple[str, Candidate], other: tuple[str, Candidate]) -> str:
    """How two sentences differ in what is asked: dates, numbers or negation; nothing if they do not."""
    (text, compared), (other_text, other_compared) = one, other
    alike = _alike(compared, other_compared)
    if question.kind == "date" or alike >= ALIKE:
        here, there = years(text) - years(question.text), years(other_text) - years(question.text)
        if here and there and not here & there:
            return "dates"
    if question.kind == "count":
        mine, theirs = asked_figure(question, text, compared), asked_figure(question, other_text, other_compared)
        return "numbers" if mine is not None and theirs is not None and mine != theirs else ""
    if alike >= ALIKE:
        here, there = figures(text) - figures(question.text), figures(other_text) - figures(question.text)
        if here and there and not here & there:
            return "numbers"
    if alike >= ALIKE and negated(compared.words) != negated(other_compared.words):
        return "negation"
    return ""


def asked_figure(question: Question, text: str, compared: Candidate) -> float | None:
    """The number of a sentence that stands nearest to the question's words, and is none of the question's own."""
    own = figures(question.text) | years(question.text)
    said = [
        place for place, stem in zip(compared.words.starts, compared.words.stems, strict=True) if stem in question.stems
    ]
    others = [(value, at) for value, year, at in numbers(text) if not year and value not in own]
    if not said or not others:
        return None
    return min(others, key=lambda each: min(abs(each[1] - place) for place in said))[0]


def _about_the_same(question: Question, best: Candidate, other: Candidate) -> bool:
    weight = dict(zip(question.stems, question.weights, strict=True))
    said, here = (sum(v for s, v in weight.items() if s in c.words.stems) for c in (best, other))
    names = question.names & frozenset(best.words.stems)
    return here >= LEAST_SAID * said and here >= LEAST_SAID / 2 and names <= other.passage


def _alike(one: Candidate, other: Candidate) -> float:
    here, there = set(filter(None, one.words.stems)), set(filter(None, other.words.stems))
    return len(here & there) / max(1, min(len(here), len(there)))
