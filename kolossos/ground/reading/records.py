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
TITLE_KEYS = ("title", "headline")
LANGUAGE_KEYS = ("language", "lang")
FACT_NAMES = (ID_KEYS, AUTHOR_KEYS, URL_KEYS, DATE_KEYS)
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
    facts = _facts(record)
    key = facts.id or f"{place}:{number}"
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
        facts = Facts(facts.id, str(account.get("acct") or account.get("username") or ""), facts.url, facts.date)
    title = _first_text(record, TITLE_KEYS)
    kind = record.get("kind")
    return Source(
        key=key,
        kind=kind if kind in KINDS else "document" if title else "post",
        text=cleaned(value),
        title=cleaned(title),
        author=cleaned(facts.author or "") or options.author,
        date=moment(facts.date),
        address=facts.url or "",
        language=language_code(_first_text(record, LANGUAGE_KEYS)) or options.language,
        notes=reading.notes.get(facts.id or "", ()),
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


def _facts(record: Mapping[str, Any]) -> Facts:
    """`Facts.of_record`, at once for the usual case: text and numbers, and a date in ISO 8601."""
    found = [next((v for name in names if (v := record.get(name)) not in (None, "")), None) for names in FACT_NAMES]
    number, author, url, date = found
    iso = date is None or (type(date) is str and len(date) > 9 and date[4] == "-" == date[7] and " " not in date)
    if iso and all(each is None or type(each) is str for each in (author, url)) and type(number) in _PLAIN:
        return Facts(None if number is None else str(number), author, url, date)
    return Facts.of_record(record)


def moment(date: str | None) -> datetime | None:
    """An ISO 8601 date as an aware moment, in UTC where it names no zone; None if it is no such date."""
    if not date:
        return None
    try:
        found = datetime.fromisoformat(date)
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
    for name in (options.text_key,) if options.text_key else TEXT_KEYS:
        value = value_at(record, name)
        if value is not MISSING and value is not None:
            return name, value
    return "", None if any(name in record for name in TEXT_KEYS) and not options.text_key else MISSING


def _first_text(record: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((value for name in names if isinstance(value := record.get(name), str) and value), "")
