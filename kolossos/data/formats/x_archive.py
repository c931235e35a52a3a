"""The posts of an account out of the archive that X gives its owner: a zip, or a file of posts out of one.

The files are JavaScript: ``window.YTD.tweets.part0 = [ {"tweet": {...}}, ... ]`` (tweet.js until 2022), long posts
whole in note-tweet.js, and until 2018 a file a month, ``Grailbird.data.tweets_2012_08 = [...]``. They are parsed post
by post from the compressed stream; nothing is unpacked to the disk, and no other part of the archive (messages,
contacts, the account) is opened.
"""

import html
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from lzma import LZMAError
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from kolossos.data.document import Document, Facts, as_date
from kolossos.data.format import Claim, Format, Part
from kolossos.errors import InputError

POST_FILES = re.compile(r"(?:.*/)?data/(?:tweets?(?:-part(\d+))?|note-tweet(?:-part(\d+))?|js/tweets/\d{4}_\d\d)\.js")
POST_HEADS = (b"window.YTD.tweet.", b"window.YTD.tweets.", b"window.YTD.note_tweet.", b"Grailbird.data.tweets")
PRIVATE_HEADS = (
    *(b"window.YTD.", b"window.__THAR_CONFIG", b"Grailbird.data."),
    *(b"var user_details", b"var payload_details", b"var tweet_index"),
)
MAX_UNPACKED_BYTES = 8 << 30
MAX_COMPRESSION_RATIO = 200  # posts compress about 10 to 1, a zip bomb 1000 to 1
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, LZMAError, OSError, EOFError, ValueError, RuntimeError)
CHUNK_CHARACTERS = 1 << 20
MAX_POST_CHARACTERS = 1 << 24
CUT_CHARACTERS = 200  # a long post stands in tweets.js too, cut behind about 270 characters and an ellipsis
CUT_END = re.compile(r"(?:…|\.\.\.)?\s*(?:https?://\S+)?\s*$")


class XArchive(Format):
    """A zip is an archive if it is named; of the files of an unpacked one only the posts are read.

    In a zip a long post takes the place of its cut form in tweets.js; unpacked files are read each for itself.
    """

    name = "x-archive"
    described = "an X archive (.zip)"
    disk_bytes_per_byte = 3

    def claim(self, path: Path, named: bool) -> Claim:
        if path.suffix.lower() == ".zip":
            return Claim.ENDING if named else Claim.NONE
        if path.suffix.lower() != ".js" and not named:
            return Claim.NONE
        return Claim.CONTENT if _head(path).startswith(POST_HEADS + PRIVATE_HEADS) else Claim.NONE

    def private(self, path: Path) -> str | None:
        if path.suffix.lower() == ".zip" or _head(path).startswith(POST_HEADS):
            return None
        return f"{path}: a private part of an X archive; only posts (tweets.js, note-tweet.js) are read"

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document]:
        """Own posts in the archive's order; retweets are left out."""
        if path.suffix.lower() != ".zip":
            with open(path, "rb") as file:
                yield from _documents(file, str(path), None)
            return
        try:
            with zipfile.ZipFile(path) as archive:
                yield from _documents_of_zip(archive, path)
        except DAMAGED_ZIP as error:
            raise InputError(f"{path}: not a readable zip ({error}); download the archive again") from error


FORMAT = XArchive()


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")


def _documents_of_zip(archive: zipfile.ZipFile, path: Path) -> Iterator[Document]:
    members = _post_members(archive, path)
    notes = [member for member in members if "note-tweet" in member.filename]
    whole: dict[str, Document] = {}  # long posts by what their cut form begins with
    for member in notes:
        with archive.open(member) as file:
            for document in _documents(file, f"{path}: {member.filename}", member.filename):
                whole[_beginning(document.text)] = document
    for member in members:
        if member in notes:
            continue
        with archive.open(member) as file:
            for post in _documents(file, f"{path}: {member.filename}", member.filename):
                cut = CUT_END.sub("", post.text)
                long = whole.get(_beginning(cut)) if len(cut) >= CUT_CHARACTERS else None
                if long is not None and " ".join(long.text.split()).startswith(" ".join(cut.split())):
                    del whole[_beginning(cut)]
                    post = Document(long.text, post.origin, post.line, post.member, post.facts)
                yield post
    yield from whole.values()


def _beginning(text: str) -> str:
    return " ".join(text.split())[: CUT_CHARACTERS // 2]


def _post_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The members that hold posts, in order of their part number; months in order of time."""
    numbered = [(match, info) for info in archive.infolist() if (match := POST_FILES.fullmatch(info.filename))]
    if not numbered:
        raise InputError(f"{path}: no data/tweets.js in it; give the zip that X offers as 'archive of your data'")
    months = sorted((info for match, info in numbered if "/js/" in match[0]), key=lambda info: info.filename)
    parts = [(match, info) for match, info in numbered if "/js/" not in match[0]]
    members = months + [info for match, info in sorted(parts, key=lambda found: int(found[0][1] or found[0][2] or 0))]
    for info in members:
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > MAX_UNPACKED_BYTES or (ratio > MAX_COMPRESSION_RATIO and info.file_size > CHUNK_CHARACTERS):
            raise InputError(
                f"{path}: {info.filename} unpacks to {info.file_size / 1e6:,.0f} MB, {ratio:,.0f} times its packed "
                f"size; posts never do, so it is not read"
            )
    return members


def _documents(file: Any, origin: str, member: str | None) -> Iterator[Document]:
    """The posts in one file; ``file`` is an open binary stream."""
    for number, entry in enumerate(_array_items(_text_stream(file), origin), start=1):
        place = f"{origin}: post {number}"
        post = entry.get("tweet", entry.get("noteTweet", entry)) if isinstance(entry, dict) else None
        if not isinstance(post, dict):
            raise InputError(f"{place} has no 'full_text'; download the archive again")
        text = _text_of_note(post) if "core" in post else post_text(post)
        if text is None:
            raise InputError(f"{place} has no 'full_text'; download the archive again")
        if not text.startswith("RT @"):
            yield Document(text, place, number, member, _facts(post))


def _facts(post: dict[str, Any]) -> Facts:
    """Number, address and date of a post; nothing else of what the archive says about it is kept."""
    number = post.get("id_str") or post.get("id")
    number = str(number) if str(number).isdecimal() else None
    if "core" in post:  # the number of a long post is not that of the post it stands in
        return Facts(id=_note_number(post), date=as_date(post.get("createdAt")))
    url = f"https://x.com/i/status/{number}" if number else None
    return Facts(id=number, url=url, date=as_date(post.get("created_at")))


def _note_number(note: dict[str, Any]) -> str | None:
    number = str(note.get("noteTweetId"))
    return number if number.isdecimal() else None


def post_text(post: dict[str, Any]) -> str | None:
    """What the author wrote: t.co links replaced by the addresses they stand for, HTML entities undone."""
    text = post.get("full_text", post.get("text"))
    entities = post.get("entities")
    return _linked(text, entities.get("urls") if isinstance(entities, dict) else None, "url", "expanded_url")


def _text_of_note(note: dict[str, Any]) -> str | None:
    core = note["core"] if isinstance(note["core"], dict) else {}
    return _linked(core.get("text"), core.get("urls"), "shortUrl", "expandedUrl")


def _linked(text: object, links: object, short: str, long: str) -> str | None:
    if not isinstance(text, str):
        return None
    for link in links if isinstance(links, list) else []:
        old, new = (link.get(short), link.get(long)) if isinstance(link, dict) else ("", "")
        if old and new and isinstance(old, str) and isinstance(new, str):
            text = text.replace(old, new)
    return html.unescape(text)


def _text_stream(file: BinaryIO) -> TextIO:
    return io.TextIOWrapper(file, encoding="utf-8-sig")


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
    except (RecursionError, ValueError) as error:
        raise InputError(f"{origin}: not JSON of posts ({error}); download the archive again") from error


def _skip_separators(text: str, position: int) -> int:
    while position < len(text) and text[position] in ", \t\r\n":
        position += 1
    return position
