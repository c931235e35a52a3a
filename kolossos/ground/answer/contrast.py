"""Where two sentences about the same thing say otherwise: other numbers, other dates, one of them a negation."""

import re
from collections.abc import Iterable

from kolossos.ground.answer.cues import words_of
from kolossos.ground.answer.items import NUMBER_WORDS, Words

_NEGATIONS = frozenset(words_of("negations"))
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12.0}
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


def figures(text: str) -> set[float]:
    """The numbers of ``text`` that are no years, with "2.5 million" as one of them."""
    return {value for value, year in _numbers(text) if not year}


def years(text: str) -> set[float]:
    """The years of ``text``."""
    return {value for value, year in _numbers(text) if year}


def negated(words: Words) -> bool:
    """Whether a sentence denies: an odd number of negations."""
    return sum(word.lower() in _NEGATIONS for word in words.surface) % 2 == 1


def _numbers(text: str) -> Iterable[tuple[float, bool]]:
    tokens = re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+", text)
    for at, token in enumerate(tokens):
        following = tokens[at + 1].lower() if at + 1 < len(tokens) else ""
        if _FIGURE.fullmatch(token) and token.isascii():
            value = float(
                re.sub(r",(?=\d{3}\b)", "", token).replace(",", ".").replace(".", "", max(0, token.count(".") - 1)) or 0
            )
            scale = _SCALES.get(following, 1.0)
            yield value * scale, scale == 1 and _YEAR.fullmatch(token) is not None
        elif (value := NUMBER_WORDS.get(token.lower())) is not None and value != 1:
            yield value * _SCALES.get(following, 1.0), False
