"""Text as the terms that are searched: one rule for what is indexed, what is asked, and what a snippet marks.

Two forms of a text: its *words* (as written, lower case, accents folded), by which phrases and exclusions are exact,
and its *stems* without function words, by which texts are ranked. Writing without spaces between words (Chinese,
Japanese, Thai and their like) is searched by its characters: a run of them is a phrase.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from kolossos.ground.library import tantivy

MAX_TERM_BYTES = 120
MOST_TERMS = 500
DEFAULT_LANGUAGE = "en"  # of a text whose language nobody stated

STEMMED = {  # ISO 639-1 to the Snowball stemmer and stop list of that name
    "ar": "arabic",
    "da": "danish",
    "nl": "dutch",
    "en": "english",
    "fi": "finnish",
    "fr": "french",
    "de": "german",
    "el": "greek",
    "hu": "hungarian",
    "it": "italian",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "es": "spanish",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
}

# Thai, Lao, Myanmar, Khmer; kana; CJK ideographs: scripts written without spaces between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
_WORD = re.compile(rf"{_UNSPACED.pattern}|(?:(?!{_UNSPACED.pattern})[^\W_][\u0300-\u036f]*)+")


def stemmed_as(language: str) -> str:
    """The language by whose rules a text is stemmed: its own, or English where it is not stated or has no stemmer."""
    return language if language in STEMMED else DEFAULT_LANGUAGE


def spaced(text: str) -> str:
    """``text``, letters and accents composed, with a space around each character of scripts that have none."""
    return text if text.isascii() else _UNSPACED.sub(r" \g<0> ", unicodedata.normalize("NFC", encodable(text)))


def encodable(text: str) -> str:
    """``text`` of the same length with U+FFFD for each half of a surrogate pair, which no UTF-8 can hold."""
    return text.translate(_SURROGATES) if any("\ud800" <= letter <= "\udfff" for letter in text) else text


def words(text: str) -> list[str]:
    """The words of ``text`` in order."""
    return word_analyzer().analyze(spaced(text))


def stems(text: str, language: str = DEFAULT_LANGUAGE) -> list[str]:
    """The stems of ``text`` in order, without function words."""
    return stem_analyzer(stemmed_as(language)).analyze(spaced(text))


def asked_terms(text: str, languages: tuple[str, ...]) -> tuple[bool, list[str]]:
    """(whether they are stems, terms) to rank by: the stems of ``text`` by the rules of each language that an index
    holds; where all of its words are function words, its words. Of a very long text the first."""
    found = dict.fromkeys(stem for language in languages for stem in stems(text, language))
    terms = list(found or dict.fromkeys(words(text)))
    return bool(found), sorted(terms[:MOST_TERMS])


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each word of ``text`` stands: characters [start, end)."""
    return (match.span() for match in _WORD.finditer(text))


@lru_cache(maxsize=1 << 16)
def forms_of(word: str, languages: tuple[str, ...]) -> frozenset[str]:
    """The stems that one word has by the rules of ``languages``; none for a function word of all of them."""
    return frozenset(stem for language in languages for stem in stems(word, language))


@lru_cache(maxsize=1 << 16)
def plain(word: str) -> str:
    """A word in lower case, accents folded."""
    return " ".join(words(word))


@cache
def word_analyzer() -> Any:
    """What makes words of a text."""
    return _builder().build()


@cache
def stem_analyzer(language: str) -> Any:
    """What makes stems of a text in one of the languages of STEMMED."""
    library = tantivy()
    name = STEMMED[language]
    return _builder().filter(library.Filter.stopword(name)).filter(library.Filter.stemmer(name)).build()


def _builder() -> Any:
    library = tantivy()
    builder = library.TextAnalyzerBuilder(library.Tokenizer.simple())
    for each in (library.Filter.remove_long(MAX_TERM_BYTES), library.Filter.lowercase(), library.Filter.ascii_fold()):
        builder = builder.filter(each)
    return builder
