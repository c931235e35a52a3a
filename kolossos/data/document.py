"""A document: a text, who wrote it where and when, and where it was found."""

import datetime
import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kolossos.errors import InputError

ID_KEYS = ("id", "_id", "doc_id")
AUTHOR_KEYS = ("author", "user", "username")
URL_KEYS = ("url", "link", "source_url")
DATE_KEYS = ("date", "created_at", "timestamp", "published")
FACT_KEYS = (*ID_KEYS, *AUTHOR_KEYS, *URL_KEYS, *DATE_KEYS)
NAME_KEYS = ("username", "screen_name", "name", "login", "id")  # of an author who is given as an object

LATEST_SECONDS = 1e11  # a larger number is a time in milliseconds


@dataclass(frozen=True)
class Facts:
    """What is known of a document. ``date`` is ISO 8601 where the source's own form is one that can be read."""

    id: str | None = None
    author: str | None = None
    url: str | None = None
    date: str | None = None

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Facts":
        """From the usual keys of a JSON object or the usual columns of a table."""
        return cls(
            id=_as_text(_first(record, ID_KEYS)),
            author=_as_text(_first(record, AUTHOR_KEYS)),
            url=_as_text(_first(record, URL_KEYS)),
            date=as_date(_first(record, DATE_KEYS)),
        )


NO_FACTS = Facts()


@dataclass(frozen=True)
class Document:
    """A text and where it was found.

    Attributes:
        text: as it stands in the file.
        origin: file and place in it, for messages.
        line: the line, row or post, from 1; None for a whole file.
        member: the file inside an archive.
        facts: what is known of it.
        only_if_asked: the name of the option that asks for such documents; without it they are counted and left out.
    """

    text: str
    origin: str
    line: int | None = None
    member: str | None = None
    facts: Facts = NO_FACTS
    only_if_asked: str | None = None


@dataclass(frozen=True)
class LeftOut:
    """What stands where a document could be and is none: counted by ``reason``.

    ``error`` is what is wrong with it, if something is: it stops the work unless bad lines are to be skipped.
    """

    reason: str
    origin: str
    error: InputError | None = None


NO_TEXT = "no_text"
BAD_LINE = "bad_line"


def bad_line(origin: str, error: InputError) -> LeftOut:
    return LeftOut(BAD_LINE, origin, error)


def as_date(value: object) -> str | None:
    """A date as ISO 8601: of a date, of seconds or milliseconds since 1970, or of text (left as it is if unknown)."""
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            seconds = value if abs(value) < LATEST_SECONDS else value / 1000
            return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            return str(value)
    text = _as_text(value)
    return None if text is None else _mail_date(text) or _post_date(text) or text


def _first(record: Mapping[str, Any], keys: tuple[str, ...]) -> object:
    return next((record[key] for key in keys if record.get(key) not in (None, "")), None)


def _as_text(value: object) -> str | None:
    """A value as text that UTF-8 can hold; None for what is no text, number or named object."""
    if isinstance(value, Mapping):
        value = _first(value, NAME_KEYS)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return storable(str(value))


def storable(text: str) -> str:
    """``text`` with what UTF-8 cannot hold (halves of surrogate pairs, bytes of odd file names) as question marks."""
    return text.encode("utf-8", "replace").decode()


def _mail_date(text: str) -> str | None:
    """``Wed, 10 Oct 2018 20:19:24 +0000``, the form of mail and feeds (RFC 5322)."""
    if "," not in text[:5]:
        return None
    try:
        return email.utils.parsedate_to_datetime(text).isoformat()
    except ValueError:
        return None


def _post_date(text: str) -> str | None:
    """``Wed Oct 10 20:19:24 +0000 2018`` and ``2012-08-30 18:27:27 +0000``, the forms of posts."""
    for form in ("%a %b %d %H:%M:%S %z %Y", "%Y-%m-%d %H:%M:%S %z"):
        try:
            return datetime.datetime.strptime(text, form).isoformat()
        except ValueError:
            continue
    return None
