"""The posts of an account out of the archive that X gives its owner: ``data/tweets.js`` in a zip, or that file itself.

The file is JavaScript: ``window.YTD.tweets.part0 = [ {"tweet": {...}}, ... ]``. It is parsed post by post from the
compressed stream; nothing is unpacked to the disk, and no other part of the archive (messages, contacts) is opened.
"""

import html
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from kolossos.errors import InputError

POST_FILES = re.compile(r"(?:.*/)?data/tweets?(?:-part(\d+))?\.js")  # "tweet.js" until 2022
MAX_UNPACKED_BYTES = 8 << 30
MAX_COMPRESSION_RATIO = 200  # posts compress about 10 to 1, a zip bomb 1000 to 1
CHUNK_CHARACTERS = 1 << 20
MAX_POST_CHARACTERS = 1 << 24


def read_posts(path: Path) -> Iterator[tuple[str, str]]:
    """(text, origin) of every own post, in the archive's order; retweets are left out.

    Raises:
        InputError: no X archive, a damaged one, or one that unpacks to an unreasonable size.
    """
    if path.suffix.lower() == ".js":
        with open(path, "rb") as file:
            yield from _posts(file, str(path))
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for member in _post_members(archive, path):
                with archive.open(member) as file:
                    yield from _posts(file, f"{path}: {member.filename}")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: not a readable zip ({error}); download the archive again") from error


def _post_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The members that hold posts, in order of their part number."""
    numbered = [(match, info) for info in archive.infolist() if (match := POST_FILES.fullmatch(info.filename))]
    if not numbered:
        raise InputError(f"{path}: no data/tweets.js in it; give the zip that X offers as 'archive of your data'")
    members = [info for match, info in sorted(numbered, key=lambda found: int(found[0][1] or 0))]
    for info in members:
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > MAX_UNPACKED_BYTES or (ratio > MAX_COMPRESSION_RATIO and info.file_size > CHUNK_CHARACTERS):
            raise InputError(
                f"{path}: {info.filename} unpacks to {info.file_size / 1e6:,.0f} MB, {ratio:,.0f} times its packed "
                f"size; posts never do, so it is not read"
            )
    return members


def _posts(file: Any, origin: str) -> Iterator[tuple[str, str]]:
    """Texts in one post file; ``file`` is an open binary stream."""
    for number, entry in enumerate(_array_items(io.TextIOWrapper(file, encoding="utf-8"), origin), start=1):
        post = entry.get("tweet", entry) if isinstance(entry, dict) else None
        if not isinstance(post, dict) or not isinstance(post.get("full_text", post.get("text")), str):
            raise InputError(f"{origin}: post {number} has no 'full_text'; download the archive again")
        text = post_text(post)
        if not text.startswith("RT @"):
            yield text, f"{origin}: post {number}"


def post_text(post: dict[str, Any]) -> str:
    """What the author wrote: t.co links replaced by the addresses they stand for, HTML entities undone."""
    text = post["full_text"] if "full_text" in post else post["text"]
    for link in (post.get("entities") or {}).get("urls") or []:
        if link.get("url") and link.get("expanded_url"):
            text = text.replace(link["url"], link["expanded_url"])
    return html.unescape(text)


def _array_items(stream: TextIO, origin: str) -> Iterator[Any]:
    """The items of the JSON array after ``window.YTD... =``, each decoded as soon as its text is whole."""
    decoder = json.JSONDecoder()
    try:
        text = stream.read(CHUNK_CHARACTERS)
        _, equals, text = text.partition("=")
        text = text.lstrip()
        if not equals or not text.startswith("["):
            raise InputError(f"{origin}: does not begin with 'window.YTD.tweets.part0 = ['; not a file of posts")
        position = 1
        while True:
            position = _skip_separators(text, position)
            if text.startswith("]", position):
                return
            try:
                item, position = decoder.raw_decode(text, position)
            except json.JSONDecodeError as error:
                text = text[position:]
                more = stream.read(CHUNK_CHARACTERS) if len(text) < MAX_POST_CHARACTERS else ""
                if not more:
                    raise InputError(f"{origin}: not JSON near {text[:40]!r} ({error.msg})") from error
                text, position = text + more, 0
                continue
            yield item
    except UnicodeDecodeError as error:
        raise InputError(f"{origin}: not UTF-8 text; download the archive again") from error


def _skip_separators(text: str, position: int) -> int:
    while position < len(text) and text[position] in ", \t\r\n":
        position += 1
    return position
