"""An index opened for questions in plain words, with its filters."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.ground.answer.ask import Asker
from kolossos.ground.index import open_index
from kolossos.ground.query import parse_query
from kolossos.ground.source import Query, Searcher

LONGEST_FILE = 2_000_000  # bytes of a text to check


def open_sources(place: str | None, words_only: bool = False) -> tuple[Searcher, Any]:
    """The index at ``place``, and the embedding model that its vectors are of, unless words are enough."""
    if not place:
        raise InputError("no sources: name an index, which 'kolossos index' makes of posts, notes and documents")
    searcher = open_index(place)
    return searcher, None if words_only else getattr(searcher, "embedder", None)


def open_asker(place: str | None, least: float | None = None, words_only: bool = False) -> Asker:
    """What answers out of the index at ``place``."""
    searcher, encoder = open_sources(place, words_only)
    return Asker(searcher, encoder, least=least)


def plain_query(text: str) -> Query:
    """A question with its filters; what stands between quotation marks is asked, not demanded word for word."""
    if not text.strip():
        raise InputError("no question: ask one, such as: kolossos ask 'Who founded it?'")
    query = parse_query(text)
    return replace(query, phrases=())


def text_to_check(given: str) -> str:
    """``given``, or the text of the file that it names."""
    path = Path(given)
    try:
        is_file = len(given) < 1000 and path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        return given
    try:
        content = path.read_bytes()[: LONGEST_FILE + 1]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(content) > LONGEST_FILE:
        raise InputError(f"{path} has more than {LONGEST_FILE:,} bytes; check a part of it")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
