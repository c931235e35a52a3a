"""What could answer a question of some kind, in the words of a sentence: figures, dates, names, causes."""

import re
from dataclasses import dataclass

from kolossos.ground.answer.cues import words_of
from kolossos.ground.answer.question import stem_of
from kolossos.ground.words import spans

NUMBER_WORDS = {word: value for value, word in enumerate(words_of("numbers"))} | {
    word: 30 + 10 * place for place, word in enumerate(words_of("tens"))
}
_AMOUNTS = frozenset(words_of("amounts"))
_MONTHS = frozenset(words_of("months"))
_TIMES = frozenset(words_of("times"))
_YEAR = re.compile(r"(?:1\d|20)\d\ds?")
_CAUSES = frozenset(words_of("causes"))
_MEANS = frozenset(words_of("means"))
_AT = frozenset(words_of("places"))


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence's words: as written, stemmed ("" for a function word), and where they begin."""

    surface: tuple[str, ...]
    stems: tuple[str, ...]
    starts: tuple[int, ...]


def read_words(text: str, language: str = "en") -> Words:
    """The words of ``text``."""
    places = list(spans(text))
    surface = tuple(text[start:end] for start, end in places)
    return Words(surface, tuple(stem_of(word, language) for word in surface), tuple(start for start, _ in places))


def items(words: Words, kind: str) -> list[int]:
    """Places of the words of ``words`` that something of ``kind`` is made of."""
    return [at for at in range(len(words.surface)) if _fits(words, at, kind)]


def is_number(word: str) -> bool:
    """Whether a word is a figure, in digits or letters."""
    return word[:1].isdigit() or word.lower() in NUMBER_WORDS or word.lower() in _AMOUNTS


def is_name(words: Words, at: int) -> bool:
    """Whether a word is written as a name: large, and not only since it begins the sentence."""
    word = words.surface[at]
    return word[:1].isupper() and bool(words.stems[at]) and (at > 0 or not word[1:].islower() or _named_next(words, at))


def _named_next(words: Words, at: int) -> bool:
    return at + 1 < len(words.surface) and words.surface[at + 1][:1].isupper()


def _fits(words: Words, at: int, kind: str) -> bool:
    word = words.surface[at]
    low = word.lower()
    match kind:
        case "count":
            return is_number(word)
        case "date":
            return low in _TIMES or (low in _MONTHS and word[:1].isupper()) or _YEAR.fullmatch(word) is not None
        case "person":
            return is_name(words, at)
        case "place":
            return is_name(words, at) and any(w.lower() in _AT for w in words.surface[max(0, at - 4) : at])
        case "reason":
            return low in _CAUSES
        case "manner":
            return low in _MEANS
        case _:
            return bool(words.stems[at])
