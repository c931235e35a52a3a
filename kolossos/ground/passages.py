"""A source cut into passages at the ends of paragraphs, else of sentences, else of words: slices of its own text."""

import re
from collections.abc import Iterator

from kolossos.ground.source import Passage, Source

LONGEST = 1200  # characters: about 200 words, what a sentence-embedding model reads
SHORTEST = 200  # a shorter paragraph is joined with what follows it

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?…])[\"')\]»”’]*\s+|(?<=[。！？])|\n")
_WORD = re.compile(r"\s+")


def passages(source: Source) -> list[Passage]:
    """The passages of ``source`` in order; a post or a note is one, and what has no text has none.

    Every character that is not white space is in exactly one passage.
    """
    text = source.text
    if not text or text.isspace():
        return []
    if len(text) <= LONGEST:
        return [Passage(source, 0, len(text))]
    return [Passage(source, start, end) for start, end in _joined(text)]


def _joined(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs, short ones joined up to LONGEST, without white space at their ends."""
    begin = end = -1
    for start, stop in _pieces(text, 0, len(text), (_PARAGRAPH, _SENTENCE, _WORD)):
        if begin < 0:
            begin, end = start, stop
        elif stop - begin <= LONGEST and (end - begin < SHORTEST or stop - start < SHORTEST or _same(text, end, start)):
            end = stop
        else:
            yield begin, end
            begin, end = start, stop
    if begin >= 0:
        yield begin, end


def _same(text: str, end: int, start: int) -> bool:
    """Whether no blank line is between two pieces: sentences of one paragraph stay together."""
    return text.count("\n", end, start) < 2


def _pieces(text: str, start: int, end: int, breaks: tuple[re.Pattern[str], ...]) -> Iterator[tuple[int, int]]:
    """Stretches of at most LONGEST characters between breaks of the first kind, finer where those are too long."""
    start, end = _trimmed(text, start, end)
    if start == end:
        return
    if not breaks:
        for first in range(start, end, LONGEST):
            yield first, min(first + LONGEST, end)
        return
    if end - start <= LONGEST and breaks[0] is not _PARAGRAPH:
        yield start, end
        return
    last = start
    for found in breaks[0].finditer(text, start, end):
        yield from _fitting(text, last, found.start(), breaks)
        last = found.end()
    yield from _fitting(text, last, end, breaks)


def _fitting(text: str, start: int, end: int, breaks: tuple[re.Pattern[str], ...]) -> Iterator[tuple[int, int]]:
    start, end = _trimmed(text, start, end)
    if start < end and end - start <= LONGEST:
        yield start, end
    elif start < end:
        yield from _pieces(text, start, end, breaks[1:])


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
