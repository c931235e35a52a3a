"""Where the words of a query stand in a text, and the stretch of it to show: offsets into the text as it is."""

from dataclasses import dataclass

from kolossos.ground.source import Passage, Query
from kolossos.ground.words import forms_of, plain, spans, stemmed_as, stems, words

WIDTH = 240  # characters of a snippet

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Snippet:
    """Characters [start, end) of a source's text; ``marks`` are stretches of that text too, in order, apart."""

    text: str
    start: int
    end: int
    marks: tuple[Span, ...]

    def parts(self) -> list[tuple[str, bool]]:
        """The snippet in pieces, each with whether it is marked; together they are `text`."""
        made, last = [], self.start
        for start, end in (*self.marks, (self.end, self.end)):
            made += [(self.text[last - self.start : start - self.start], False)] if start > last else []
            made += [(self.text[start - self.start : end - self.start], True)] if end > start else []
            last = end
        return made


def matches(text: str, query: Query, language: str = "") -> list[Span]:
    """The words of ``text`` that the query asks for: by their stem, in a phrase of it, or, where it has only function
    words, as they are."""
    rules = (stemmed_as(language),)
    wanted = frozenset(stems(query.text, rules[0]))
    literal = frozenset() if wanted else frozenset(words(query.text))
    places = list(spans(text))
    found = {
        place
        for place in places
        if not wanted.isdisjoint(forms_of(text[slice(*place)], rules)) or plain(text[slice(*place)]) in literal
    }
    for phrase in query.phrases:
        terms = words(phrase)
        if not terms:
            continue
        here = [plain(text[start:end]) for start, end in places]
        for first in range(len(here) - len(terms) + 1):
            if here[first : first + len(terms)] == terms:
                found.update(places[first : first + len(terms)])
    return sorted(found)


def snippet(passage: Passage, query: Query, width: int = WIDTH) -> Snippet:
    """The stretch of a passage with the most different words of the query: whole words, about ``width`` characters."""
    text = passage.source.text
    found = [
        (passage.start + start, passage.start + end)
        for start, end in matches(passage.text, query, passage.source.language)
    ]
    start, end = _window(text, passage, found, width)
    marks = tuple((a, b) for a, b in found if start <= a and b <= end)
    return Snippet(text[start:end], start, end, _joined(text, marks))


def _window(text: str, passage: Passage, found: list[Span], width: int) -> Span:
    """Where a snippet begins and ends."""
    if passage.end - passage.start <= width:
        return passage.start, passage.end
    best, most = passage.start, -1
    for start, _ in found:
        inside = {text[a:b].casefold() for a, b in found if start <= a and b <= start + width}
        if len(inside) > most:
            best, most = start, len(inside)
    lead = max(passage.start, min(best - width // 4, passage.end - width))
    start, end = _at_word(text, lead, passage.start), min(lead + width, passage.end)
    while end < passage.end and end > start + width // 2 and not text[end].isspace():
        end -= 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _at_word(text: str, place: int, least: int) -> int:
    """The beginning of the word at ``place``; of a very long one, ``place``."""
    start = place
    while start > least and not text[start - 1].isspace() and place - start < 40:
        start -= 1
    start = start if start == least or text[start - 1].isspace() else place
    while start < len(text) and text[start].isspace():
        start += 1
    return start


def _joined(text: str, marks: tuple[Span, ...]) -> tuple[Span, ...]:
    """Marks with nothing or one sign between them as one."""
    made: list[Span] = []
    for start, end in marks:
        if made and start - made[-1][1] <= 1 and "\n" not in text[made[-1][1] : start]:
            made[-1] = (made[-1][0], end)
        else:
            made.append((start, end))
    return tuple(made)
