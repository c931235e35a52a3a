"""The sentences of what a search found, with their places in their sources."""

from collections.abc import Sequence

from kolossos.ground.answer.features import Candidate
from kolossos.ground.answer.instructions import asks, asks_the_same, is_addressed, repeats
from kolossos.ground.answer.items import read_words
from kolossos.ground.answer.question import read_question
from kolossos.ground.answer.sentences import LONGEST, sentences
from kolossos.ground.source import Hit, Passage
from kolossos.ground.words import words


def evidence(question: str, hits: Sequence[Hit]) -> tuple[list[Hit], int]:
    """``hits`` without those that are no evidence, and how many these are.

    A post is none that gives an order to whoever answers, or repeats or asks what is asked: whoever plants an answer
    plants it beside its question. Nor is one that says something of it only where it asks. Of a document a passage is
    none if every sentence of it does so.
    """
    asked, stems = words(question), frozenset(read_question(question).stems)
    kept = []
    for hit in hits:
        source = hit.passage.source
        said = [source.text[a:b] for a, b in _places(source.text, hit.passage.start, hit.passage.end)]
        found = [frozenset(read_words(text).stems) for text in said]
        out = [
            is_addressed(text) or repeats(asked, words(text)) or (asks(text) and asks_the_same(stems, own))
            for text, own in zip(said, found, strict=True)
        ]
        told = [own for text, own in zip(said, found, strict=True) if not asks(text)]
        only_asks = bool(stems) and len(told) < len(said) and not any(own & stems for own in told)
        if not said or not (all(out) if source.kind == "document" else any(out) or only_asks):
            kept.append(hit)
    return kept, len(hits) - len(kept)


def candidates(hits: Sequence[Hit], question: str = "") -> tuple[list[Passage], list[Candidate]]:
    """Every sentence of every passage found, once, whole also where a passage begins inside of it.

    Sentences that give orders to whoever answers are left out, and, for a question, those that ask themselves.
    """
    asked = words(question)
    found: list[Passage] = []
    compared: list[Candidate] = []
    seen: set[tuple[str, int]] = set()
    for rank, hit in enumerate(hits, 1):
        source = hit.passage.source
        language = source.language or "en"
        places = _places(source.text, hit.passage.start, hit.passage.end)
        read = [read_words(source.text[start:end], language) for start, end in places]
        stems = [frozenset(each.stems) for each in read]
        all_ = frozenset().union(*stems, read_words(source.title, language).stems)
        for at, (start, end) in enumerate(places):
            if (source.key, start) in seen:
                continue
            seen.add((source.key, start))
            text = source.text[start:end]
            if is_addressed(text) or (asked and (asks(text) or repeats(asked, words(text)))):
                continue
            around = frozenset().union(*stems[max(0, at - 1) : at + 2])
            found.append(Passage(source, start, end))
            compared.append(Candidate(read[at], around, all_, at == 0, rank, rank))
    return found, compared


def _places(text: str, start: int, end: int) -> list[tuple[int, int]]:
    first, last = max(0, start - LONGEST), min(len(text), end + LONGEST)
    return [(a, b) for a, b in sentences(text, first, last) if a < end and b > start]
