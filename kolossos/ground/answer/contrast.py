"""Where two sentences about the same thing say otherwise: other numbers, other dates, one of them a negation."""

import re
from collections.abc import Collection, Iterator

from kolossos.ground.answer.cues import words_of
from kolossos.ground.answer.items import NUMBER_WORDS, Words

_NEGATIONS = frozenset(words_of("negations"))
REACH = 4  # words between a negation and what it denies
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12.0}
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")


def figures(text: str) -> set[float]:
    """The numbers of ``text`` that are no years, with "2.5 million" as one of them."""
    return {value for value, year, _ in numbers(text) if not year}


def years(text: str) -> set[float]:
    """The years of ``text``."""
    return {value for value, year, _ in numbers(text) if year}


def negated(words: Words, about: Collection[str] | None = None) -> bool:
    """Whether a sentence denies: an odd number of negations, with ``about`` of those near to one of these stems."""

    def near(at: int) -> bool:
        around = words.stems[max(0, at - REACH) : at + REACH + 1]
        return about is None or any(stem in about for stem in around if stem)

    return sum(word.lower() in _NEGATIONS and near(at) for at, word in enumerate(words.surface)) % 2 == 1


def numbers(text: str) -> Iterator[tuple[float, bool, int]]:
    """Each number of ``text`` with whether it looks like a year, and where it begins."""
    found = list(_TOKEN.finditer(text))
    for at, match in enumerate(found):
        token = match[0]
        following = found[at + 1][0].lower() if at + 1 < len(found) else ""
        scale = _SCALES.get(following, 1.0)
        if token[0].isdigit() and token.isascii():
            yield _value(token) * scale, scale == 1 and _YEAR.fullmatch(token) is not None, match.start()
        elif (value := NUMBER_WORDS.get(token.lower())) is not None and value != 1:
            yield value * scale, False, match.start()


def _value(figure: str) -> float:
    """1,234,567 and 3.14; a second point or comma ends the number."""
    plain = re.sub(r",(?=\d{3}(?!\d))", "", figure)
    return float(re.match(r"\d+(?:\.\d+)?", plain.replace(",", "."))[0])  # pyright: ignore[reportOptionalSubscript]
