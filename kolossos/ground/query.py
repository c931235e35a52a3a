"""A query as a person types it: words, "phrases", -exclusions, and from: since: until: lang: kind: has:note."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kolossos.errors import InputError, nearest
from kolossos.ground.source import Query

KINDS = ("post", "note", "document")
OPERATORS = ("from", "since", "until", "lang", "kind", "has")

_PART = re.compile(
    r"(?P<not>(?<!\S)-)?"
    r"(?:(?P<name>[A-Za-z]+):(?:[\"“](?P<quoted>[^\"”]*)[\"”]|(?P<value>[^\s\"“]+))"
    r"|[\"“](?P<phrase>[^\"”]*)[\"”]?|(?P<word>[^\s\"“]+))"
)
_ALL = ("from", "since", "until", "lang", "kind")


@dataclass
class _Read:
    words: list[str] = field(default_factory=list)
    phrases: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    has_note: bool | None = None


def parse_query(text: str) -> Query:
    """The query that ``text`` says; InputError for an operator whose value means nothing, or for no query at all.

    As on X, ``since:`` includes the day and ``until:`` does not. What looks like an operator and is none (``10:30``,
    ``https://``) is a word.
    """
    read = _Read()
    for part in _PART.finditer(text):
        _take(part, read)
    query = Query(
        text=" ".join((*read.words, *read.phrases)),
        phrases=tuple(read.phrases),
        excluded=tuple(read.excluded),
        author=read.given.get("from", "").removeprefix("@"),
        since=_date(read.given["since"], "since") if "since" in read.given else None,
        until=_date(read.given["until"], "until") if "until" in read.given else None,
        language=read.given.get("lang", "").lower(),
        kind=_kind(read.given.get("kind", "").lower()),
        has_note=read.has_note,
    )
    if query == Query(text="", excluded=query.excluded):
        raise InputError(
            'the query is empty; give words, a "phrase", or a filter such as from:NAME or since:2024-01-31'
        )
    if query.since and query.until and query.since >= query.until:
        raise InputError(f"since:{read.given['since']} is not before until:{read.given['until']}")
    return query


def _take(part: re.Match[str], read: _Read) -> None:
    name = (part["name"] or "").lower()
    value = part["quoted"] if part["quoted"] is not None else part["value"]
    if name == "has":
        if value.lower() not in ("note", "notes"):
            raise InputError(f"has:{value}: only has:note is known")
        read.has_note = part["not"] is None
    elif name in _ALL:
        if part["not"]:
            raise InputError(f"-{name}:{value}: only words, phrases and has:note can be excluded")
        if read.given.get(name, value) != value:
            raise InputError(f"{name}:{value}: {name}: was given already, as {read.given[name]}; give it once")
        read.given[name] = value
    elif part["phrase"] is not None:
        if part["phrase"].strip():
            (read.excluded if part["not"] else read.phrases).append(part["phrase"])
    else:
        word = part["word"] if part["word"] is not None else part[0].removeprefix("-")
        (read.excluded if part["not"] else read.words).append(word)


def _kind(value: str) -> str:
    value = value.removesuffix("s")
    if value and value not in KINDS:
        raise InputError(f"kind:{value} is unknown{nearest(value, KINDS)}")
    return value


def _date(value: str, name: str) -> datetime:
    """The moment at which a year, month, day or time begins, in UTC where it says no zone."""
    for form in ("%Y", "%Y-%m"):
        try:
            return datetime.strptime(value, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise InputError(f"{name}:{value} is no date; write {name}:2024-01-31, {name}:2024-01 or {name}:2024") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
