"""The posts of a Mastodon account out of the archive that it gives its owner: outbox.json, alone or in its archive.

Posts that are public or unlisted are read; those to followers or to single people, and what others wrote (boosts),
are left out and counted. Nothing else of an archive (likes, bookmarks, the account's keys) is read.
"""

import io
import json
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolossos.data.documents.clean import clean
from kolossos.errors import InputError
from kolossos.ground.reading.hypertext import text_of
from kolossos.ground.reading.options import Gone, Reading
from kolossos.ground.reading.records import as_title, language_code, moment
from kolossos.ground.source import Source

OUTBOX = "outbox.json"
PUBLIC = ("https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public")
MAX_BYTES = 2 << 30
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError)


def is_mastodon(path: Path) -> bool:
    """Whether ``path`` is a Mastodon archive, packed or unpacked, or its outbox."""
    if path.is_dir():
        return (path / OUTBOX).is_file()
    if path.name == OUTBOX:
        return True
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return any(name.rpartition("/")[2] == OUTBOX for name in archive.namelist())
        if path.name.endswith((".tar.gz", ".tgz", ".tar")):
            with tarfile.open(path) as archive:
                return any(member.name.rpartition("/")[2] == OUTBOX for member in archive)
    except DAMAGED:
        return False
    return False


def mastodon_sources(path: Path, reading: Reading) -> Iterator[Source | Gone]:
    """The owner's public posts, in the outbox's order."""
    try:
        outbox = json.loads(_outbox(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its {OUTBOX} is not JSON ({error}); download the archive again") from None
    items = outbox.get("orderedItems") if isinstance(outbox, dict) else None
    if not isinstance(items, list):
        raise InputError(f"{path}: its {OUTBOX} has no list orderedItems; give the one of a Mastodon archive")
    for item in items:
        activity = item if isinstance(item, dict) else {}
        if activity.get("type") == "Delete" and (key := _identity(activity.get("object"))):
            yield Gone(key)
        elif activity.get("type") not in ("Create", "Update") or not isinstance(activity.get("object"), dict):
            reading.left_out["not_own_post"] += 1
        elif (source := _post(activity["object"], activity, reading)) is not None:
            yield source


def _post(post: dict[str, Any], activity: dict[str, Any], reading: Reading) -> Source | None:
    if not any(name in PUBLIC for name in (*_listed(post.get("to")), *_listed(post.get("cc")))):
        reading.left_out["private"] += 1
        return None
    text = clean(text_of(str(post.get("content") or "")))
    key = _identity(post)
    if not text or not key:
        reading.left_out["no_text"] += 1
        return None
    languages = post.get("contentMap")
    author = str(post.get("attributedTo") or activity.get("actor") or "").rstrip("/").rpartition("/")[2]
    return Source(
        key=key,
        kind="post",
        text=text,
        title=as_title(text_of(str(post.get("summary") or ""))),  # the warning before the text
        author=author.removeprefix("@") or reading.options.author,
        date=moment(str(post.get("published") or "")),
        address=str(post.get("url") or key),
        language=language_code(next(iter(languages), "") if isinstance(languages, dict) else "")
        or reading.options.language,
    )


def _outbox(path: Path) -> bytes:
    try:
        if path.is_dir():
            return _bounded(path, open(path / OUTBOX, "rb"))
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                return _bounded(path, archive.open(_member(archive.namelist())))  # pyright: ignore[reportArgumentType]
        if path.name != OUTBOX:
            with tarfile.open(path) as archive:
                file = archive.extractfile(_member(archive.getnames()))
                return _bounded(path, file or io.BytesIO())  # pyright: ignore[reportArgumentType]
        return _bounded(path, open(path, "rb"))
    except DAMAGED as error:
        raise InputError(f"{path} cannot be read ({error}); download the archive again") from None


def _bounded(path: Path, file: io.BufferedIOBase) -> bytes:
    with file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: its {OUTBOX} is larger than {MAX_BYTES >> 30} GiB, which no account's is")
    return content


def _member(names: list[str]) -> str:
    return next(name for name in names if name.rpartition("/")[2] == OUTBOX)


def _identity(thing: object) -> str:
    if isinstance(thing, dict):
        thing = thing.get("id")
    return thing if isinstance(thing, str) else ""


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
