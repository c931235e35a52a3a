"""Sentences as stretches of a text: [start, end) in characters, in order, never overlapping, nothing changed.

Rules of our own instead of a library, for a quotation needs exact places in any Unicode, in time that grows with the
text's length: the libraries that were looked at change white space, or search with patterns that backtrack.
"""

import re
from collections.abc import Iterator

from kolossos.ground.answer.cues import words_of

LONGEST = 600  # characters; a stretch without an end of a sentence is cut at white space
_END = re.compile(
    r"([.!?…]+|[。！？])[\"'”’»)\]]*(?:\[[^\[\]\s]{1,12}\]|:\d[\d,–-]{0,11}(?=\s))*"
)  # [12] and :12: references
_BREAK = re.compile(r"\n\s*\n|\n(?=\s*[^\sa-z])|[\r\f\v\u2028\u2029]+(?!\n)")
_NUMBERED = ("no", "nos")  # No. 5, but not: he said no.
_ABBREVIATIONS = frozenset(words_of("abbreviations"))


def sentences(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Places of the sentences of ``text[start:end]``: no white space at their ends, each with a letter or digit."""
    stop = len(text) if end is None else end
    found = []
    for first, last in _lines(text, start, stop):
        at = first
        for cut in (*_ends(text, first, last), last):
            found.extend(_cut(text, at, cut))
            at = cut
    return found


def _lines(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Stretches between blank lines, and between lines that do not go on in lower case."""
    at = start
    for match in _BREAK.finditer(text, start, stop):
        yield at, match.start()
        at = match.end()
    yield at, stop


def _ends(text: str, first: int, last: int) -> Iterator[int]:
    for match in _END.finditer(text, first, last):
        mark, after = match.group(1), match.end()
        if after >= last:
            return
        if mark in "。！？" or (text[after].isspace() and not _goes_on(text, match.start(), after, last, mark)):
            yield after


def _goes_on(text: str, mark_at: int, after: int, last: int, mark: str) -> bool:
    """Whether the stop at ``mark_at`` is of an abbreviation or an initial, or the next word is in lower case."""
    following = text[after : min(after + 40, last)].lstrip()
    if not following or following.lstrip("\"'“‘«([")[:1].islower():
        return True
    if mark != ".":
        return False
    word = text[max(0, mark_at - 12) : mark_at].split()[-1:] or [""]
    before = word[0].lstrip("\"'“‘«([").lower()
    if before in _NUMBERED:
        return following[:1].isdigit()
    return before in _ABBREVIATIONS or (len(before) == 1 and before.isalpha() and before not in "i")


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """``[start, end)`` without white space around it, in pieces of at most LONGEST characters."""
    while start < end:
        while start < end and text[start].isspace():
            start += 1
        stop = end
        if end - start > LONGEST:
            space = text.rfind(" ", start + LONGEST // 2, start + LONGEST)
            stop = space if space > 0 else start + LONGEST
        last = stop
        while last > start and text[last - 1].isspace():
            last -= 1
        if any(letter.isalnum() for letter in text[start:last]):
            yield start, last
        start = stop
