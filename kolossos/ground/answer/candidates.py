"""The sentences of what a search found, with their places in their sources."""

from collections.abc import Sequence
from dataclasses import dataclass

from kolossos.ground.answer.features import Candidate
from kolossos.ground.answer.items import read_words
from kolossos.ground.answer.sentences import LONGEST, sentences
from kolossos.ground.source import Hit, Source


@dataclass(frozen=True, slots=True)
class Sentence:
    """Characters [start, end) of a source's text."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]


def candidates(hits: Sequence[Hit]) -> tuple[list[Sentence], list[Candidate]]:
    """Every sentence of every passage found, once, whole also where a passage begins inside of it."""
    found: list[Sentence] = []
    compared: list[Candidate] = []
    seen: set[tuple[str, int]] = set()
    for rank, hit in enumerate(hits, 1):
        source = hit.passage.source
        language = source.language or "en"
        places = _places(source.text, hit.passage.start, hit.passage.end)
        words = [read_words(source.text[start:end], language) for start, end in places]
        stems = [frozenset(w.stems) for w in words]
        all_ = frozenset().union(*stems, read_words(source.title, language).stems)
        for at, (start, end) in enumerate(places):
            if (source.key, start) in seen:
                continue
            seen.add((source.key, start))
            around = frozenset().union(*stems[max(0, at - 1) : at + 2])
            found.append(Sentence(source, start, end))
            compared.append(Candidate(words[at], around, all_, at == 0, rank, rank))
    return found, compared


def _places(text: str, start: int, end: int) -> list[tuple[int, int]]:
    first, last = max(0, start - LONGEST), min(len(text), end + LONGEST)
    return [(a, b) for a, b in sentences(text, first, last) if a < end and b > start]
