"""A source as bytes and back, and the numbers by which an index knows it again."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring as quoted

from kolossos.ground.source import Note, Passage, Source

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def pack(source: Source) -> bytes:
    """``source`` as JSON; what is empty is left out."""
    parts = [f'{{"key":{quoted(source.key)},"kind":{quoted(source.kind)},"text":{quoted(source.text)}']
    if source.title:
        parts.append(f'"title":{quoted(source.title)}')
    if source.author:
        parts.append(f'"author":{quoted(source.author)}')
    if source.address:
        parts.append(f'"address":{quoted(source.address)}')
    if source.language:
        parts.append(f'"language":{quoted(source.language)}')
    if source.date:
        parts.append(f'"date":"{source.date.isoformat()}"')
    if source.notes:
        notes = [[n.id, n.text, n.status, n.date.isoformat() if n.date else None] for n in source.notes]
        parts.append('"notes":' + json.dumps(notes, ensure_ascii=False))
    return (",".join(parts) + "}").encode("utf-8", "replace")


def unpack(content: bytes | str) -> Source:
    """What `pack` was given."""
    fields = json.loads(content)
    notes = tuple(Note(i, text, status, _date(date)) for i, text, status, date in fields.pop("notes", ()))
    return Source(**{**fields, "date": _date(fields.get("date")), "notes": notes})


def microseconds(date: datetime) -> int:
    """Since 1970 in UTC, exactly."""
    return (date - EPOCH) // timedelta(microseconds=1)


def key_number(key: str) -> int:
    """64 bits that stand for a key: two of ten million keys share one with a probability of 3 in a million."""
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=8).digest())


def digest_number(packed: bytes) -> int:
    """64 bits that stand for all that a source says, its key included."""
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8, person=b"source").digest())


def passage_number(digest: int, passage: Passage) -> int:
    """64 bits that stand for a passage of a source with this digest: the same text, the same number."""
    if passage.start == 0:
        return digest
    place = f"{digest}:{passage.start}:{passage.end}".encode()
    return int.from_bytes(hashlib.blake2b(place, digest_size=8, person=b"passage").digest())


def _date(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
