"""Records (JSON objects, rows) as documents: where their text is, and what is no text though it looks like a record."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from kolossos.data.document import NO_TEXT, Document, Facts, LeftOut, bad_line
from kolossos.data.option_error import OptionError
from kolossos.errors import InputError, nearest

CHUNK_CHARACTERS = 1 << 20
MAX_ITEM_CHARACTERS = 1 << 26
MISSING = object()

CONVERSATION_KEYS = ("messages", "conversations", "conversation")
TASK_KEYS = {"instruction", "output"}
REDDIT_DELETED = ("[deleted]", "[removed]")


def document_of(
    record: object, text_key: str, origin: str, number: int, facts: Facts | None = None
) -> Document | LeftOut:
    """The document that a record is; `LeftOut` if its text is null, or if it has none. ``facts``: if known already."""
    if not isinstance(record, Mapping):
        kind = type(record).__name__
        return bad_line(origin, InputError(f"{origin}: a JSON {kind}, but each line must be one JSON object"))
    value = value_at(record, text_key)
    if value is MISSING and "subreddit" in record:
        value = _reddit_text(record)
    if value is MISSING:
        return bad_line(origin, _without_text(record, text_key, origin))
    if value is None:
        return LeftOut(NO_TEXT, origin)
    if not isinstance(value, str):
        if _is_conversation(value):
            return bad_line(origin, _conversation(text_key, origin))
        message = f"{origin}: {text_key!r} holds a {type(value).__name__}, but it must be text"
        return bad_line(origin, InputError(message))
    return Document(value, origin, number, facts=facts or Facts.of_record(record))


def value_at(record: Mapping[str, Any], key: str) -> object:
    """The value under ``key``, or, if there is no such key, under a path of keys with dots; MISSING if neither is."""
    if key in record:
        return record[key]
    value: object = record
    for step in key.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return MISSING
        value = value[step]
    return value


def array_items(stream: TextIO, origin: str, text: str = "") -> Iterator[Any]:
    """The items of a JSON array, each decoded as soon as its text is whole.

    ``text`` is what was read of ``stream`` already, from the opening bracket on; none: nothing was read.
    """
    decoder = json.JSONDecoder()
    text = text or stream.read(CHUNK_CHARACTERS).lstrip("\ufeff \t\r\n")
    position = 1
    while True:
        position = _skip_separators(text, position)
        if text.startswith("]", position):
            return
        try:
            item, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            text = text[position:]
            wanted = max(
                CHUNK_CHARACTERS, len(text)
            )  # twice as much each time, so that all is read a few times at most
            more = stream.read(wanted) if len(text) < MAX_ITEM_CHARACTERS else ""
            if not more:
                raise InputError(f"{origin}: not JSON near {text[:40]!r} ({error.msg})") from error
            text, position = text + more, 0
            continue
        except (RecursionError, ValueError) as error:
            raise InputError(f"{origin}: not JSON ({error})") from error
        yield item


def _skip_separators(text: str, position: int) -> int:
    while position < len(text) and text[position] in ", \t\r\n":
        position += 1
    return position


def _without_text(record: Mapping[str, Any], text_key: str, origin: str) -> InputError:
    for key in CONVERSATION_KEYS:
        if _is_conversation(record.get(key)):
            return _conversation(key, origin)
    if record.keys() >= TASK_KEYS:
        return OptionError(
            f"{origin}: no key {text_key!r}, but a task with its answer (instruction, output), which is no text yet; "
            f"write both as one text under a key of its own, or name the key to read",
            "text_key",
        )
    return OptionError(f"{origin}: no key {text_key!r}{nearest_key(text_key, record)}", "text_key")


def nearest_key(key: str, known: Iterable[object]) -> str:
    """A clause that says which key may be meant; of the known ones those that a line can show."""
    shown = [name for name in known if isinstance(name, str) and name.isprintable() and 0 < len(name) < 40]
    return nearest(key, shown[:20]) if shown else ""


def _conversation(key: str, origin: str) -> InputError:
    return InputError(
        f"{origin}: {key!r} holds a conversation, and training on those is not prepared yet: roles must be tokens that "
        f"no text can spell; write each conversation as one text under a key of its own and name that key"
    )


def _is_conversation(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, Mapping) and ({"role", "from"} & turn.keys()) for turn in value)
    )


def _reddit_text(record: Mapping[str, Any]) -> object:
    """A comment's body; a post's title and text."""
    if "body" in record:
        return None if record["body"] in REDDIT_DELETED else record["body"]
    if "selftext" not in record:
        return MISSING
    text = record["selftext"]
    if text in REDDIT_DELETED or not isinstance(text, str) or not text:
        return None
    title = record.get("title")
    return f"{title}\n\n{text}" if isinstance(title, str) and title else text
