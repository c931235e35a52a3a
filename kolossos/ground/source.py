"""The nouns of the room: a source as it was read, a passage of it, and what a search finds.

Every passage is a slice of its source's text, so that a quotation is verbatim by construction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

HELPFUL = "CURRENTLY_RATED_HELPFUL"


@dataclass(frozen=True, slots=True)
class Note:
    """A Community Note on a post: `status` in the official words (HELPFUL, ...)."""

    id: str
    text: str
    status: str
    date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """One post, note or document. `key` is unique in an index and the same when read again; `date` is aware."""

    key: str
    kind: str  # post | note | document
    text: str
    title: str = ""
    author: str = ""
    date: datetime | None = None
    address: str = ""  # URL, or path as the user gave it
    language: str = ""  # ISO 639-1, empty where it is not known
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a source: characters [start, end) of its text."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: `text` holds the words to rank by, the rest filters. Dates are aware, `until` exclusive."""

    text: str
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    author: str = ""
    since: datetime | None = None
    until: datetime | None = None
    language: str = ""
    kind: str = ""
    has_note: bool | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A found passage; `score` falls along a list; `why` says what placed it: {"lexical rank": 1, "dense rank": 4}."""

    passage: Passage
    score: float
    why: Mapping[str, float | str] = field(default_factory=dict)


class Searcher(Protocol):
    """Whatever can be searched: an index on disk, a database, a list in memory."""

    def search(self, query: Query, count: int = 10) -> list[Hit]:
        """The best passages first, at most `count`."""
        ...
