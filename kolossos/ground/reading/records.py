"""A JSON record as a source: a post with the usual names of fields, of Bluesky, or of Mastodon's interface."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kolossos.data.document import AUTHOR_KEYS, DATE_KEYS, ID_KEYS, URL_KEYS, Facts, as_date
from kolossos.data.documents.clean import clean
from kolossos.data.records import MISSING, value_at
from kolossos.errors import InputError, nearest
from kolossos.ground.query import KINDS
from kolossos.ground.reading.hypertext import text_of
from kolossos.ground.reading.options import Gone, Reading, ReadOptions
from kolossos.ground.source import Source

TEXT_KEYS = ("text", "full_text", "content", "body", "summary")
LONGEST_TITLE = 300  # characters
TITLE_KEYS = ("title", "headline")
LANGUAGE_KEYS = ("language", "lang")
_PLAIN = (str, int, type(None))
BLUESKY_POST = "app.bsky.feed.post"
PRIVATE = ("private", "direct", "followers", "limited", "protected")


def source_of(record: object, place: str, number: int, reading: Reading) -> Source | Gone | None:
    """The source that a record is; None if it is left out, which is counted.

    Args:
        record: what JSON gave.
        place: the file, as the person named it.
        number: the line or item, from 1: with ``place`` the key of what has no id.
    """
    if not isinstance(record, dict):
        reading.bad(InputError(f"{place}:{number}: a JSON {type(record).__name__}, but a post is a JSON object"))
        return None
    if "value" in record and isinstance(record["value"], dict) and "uri" in record:
        record = {**record["value"], "uri": record["uri"]}  # as com.atproto.repo.listRecords gives them
    if "$type" in record and str(record["$type"]).startswith("app.bsky."):
        return _bluesky(record, f"{place}:{number}", reading)
    if record.get("visibility") in PRIVATE or record.get("protected") is True:
        reading.left_out["private"] += 1
        return None
    return _usual(record, place, number, reading)


def _usual(record: Mapping[str, Any], place: str, number: int, reading: Reading) -> Source | Gone | None:
    options = reading.options
    number_, author, url, date = _facts(record)
    key = number_ or f"{place}:{number}"
    if record.get("deleted") is True:
        return Gone(key)
    name, value = _text(record, options)
    if value is MISSING:
        wanted = options.text_key or " or ".join(TEXT_KEYS[:4])
        known = nearest(wanted, [n for n in record if isinstance(n, str) and n.isprintable()][:20])
        reading.bad(InputError(f"{place}:{number}: no key {wanted}{known}; name the one that holds the text"))
        return None
    if not isinstance(value, str) or not value.strip():
        reading.left_out["no_text"] += 1
        return None
    if name == "content" and "account" in record:  # a status of Mastodon's interface
        value = text_of(value)
        account = record["account"] if isinstance(record["account"], Mapping) else {}
        author = str(account.get("acct") or account.get("username") or "")
    title = _first_text(record, TITLE_KEYS)
    kind = record.get("kind")
    return Source(
        key=key,
        kind=kind if kind in KINDS else "document" if title else "post",
        text=cleaned(value),
        title=as_title(title) if title else "",
        author=cleaned(author) if author else options.author,
        date=moment(date) if date else None,
        address=url or "",
        language=language_code(_first_text(record, LANGUAGE_KEYS)) or options.language,
        notes=reading.notes.get(number_, ()) if number_ else (),
    )


def _bluesky(record: Mapping[str, Any], place: str, reading: Reading) -> Source | None:
    """A record of a Bluesky repository: posts are public, and all else in it is left out."""
    if record["$type"] != BLUESKY_POST:
        reading.left_out["not_a_post"] += 1
        return None
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        reading.left_out["no_text"] += 1
        return None
    uri = str(record.get("uri") or "")
    author, _, number = uri.removeprefix("at://").partition(f"/{BLUESKY_POST}/")
    languages = record.get("langs")
    first = languages[0] if isinstance(languages, list) and languages else ""
    return Source(
        key=uri or str(record.get("cid") or place),
        kind="post",
        text=cleaned(text),
        author=str(record.get("author") or "") or author or reading.options.author,
        date=moment(as_date(record.get("createdAt"))),
        address=f"https://bsky.app/profile/{author}/post/{number}" if number else "",
        language=language_code(str(first)) or reading.options.language,
    )


def cleaned(text: str) -> str:
    """`clean`, at once for what is clean."""
    return text.rstrip() if text.isprintable() else clean(text)


def as_title(text: str) -> str:
    """A title on one line, of a length that a title has: it is searched before each passage."""
    return " ".join(cleaned(text).split())[:LONGEST_TITLE].rstrip()


def _facts(record: Mapping[str, Any]) -> tuple[str | None, str | None, str | None, str | None]:
    """(id, author, address, date) as `Facts.of_record` has them, at once where they are texts and the date ISO 8601."""
    number, author = _first(record, ID_KEYS), _first(record, AUTHOR_KEYS)
    url, date = _first(record, URL_KEYS), _first(record, DATE_KEYS)
    plain = (date is None or (type(date) is str and date[4:8:3] == "--" and " " not in date)) and (
        type(number) in _PLAIN and (author is None or type(author) is str) and (url is None or type(url) is str)
    )
    if plain:
        return None if number is None else str(number), author, url, date
    facts = Facts.of_record(record)
    return facts.id, facts.author, facts.url, facts.date


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The first value that is there under one of ``names``."""
    for name in names:
        value = record.get(name)
        if value is not None and value != "":
            return value
    return None


def moment(date: str | None) -> datetime | None:
    """An ISO 8601 date as an aware moment, in UTC where it names no zone; None if it is no such date."""
    if not date:
        return None
    try:
        found = datetime.fromisoformat(date)
        if found.tzinfo is UTC:
            return found
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def language_code(given: str) -> str:
    """``en`` of ``en-GB``; nothing of what says that it is unknown (``und``, ``zxx``) or is no code."""
    if len(given) == 2 and given.isalpha() and given.islower():
        return given
    code = given.replace("_", "-").partition("-")[0].lower()
    return code if 2 <= len(code) <= 3 and code.isalpha() and code not in ("und", "zxx", "qme", "qst") else ""


def _text(record: Mapping[str, Any], options: ReadOptions) -> tuple[str, object]:
    """(key, value) of what holds the text; MISSING if nothing does."""
    if not options.text_key and type(usual := record.get("text")) is str:
        return "text", usual
    for name in (options.text_key,) if options.text_key else TEXT_KEYS:
        value = value_at(record, name)
        if value is not MISSING and value is not None:
            return name, value
    return "", None if any(name in record for name in TEXT_KEYS) and not options.text_key else MISSING


def _first_text(record: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        value = record.get(name)
        if value and isinstance(value, str):
            return value
    return ""
