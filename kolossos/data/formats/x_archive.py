"""The posts of an account out of the archive that X gives its owner: a zip, or the folder that was unpacked of one.

The files are JavaScript: ``window.YTD.tweets.part0 = [ {"tweet": {...}}, ... ]`` (tweet.js until 2022), long posts
whole in note-tweet.js, posts in communities in community-tweet.js, and until 2018 a file a month,
``Grailbird.data.tweets_2012_08 = [...]``. They are parsed post by post from the packed stream; nothing else of an
archive (messages, contacts, the account, the pages to look at it in) is read. `x_posts` knows the posts themselves.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from itertools import chain
from lzma import LZMAError
from pathlib import Path

from kolossos.data.compression import head
from kolossos.data.document import Document, LeftOut
from kolossos.data.format import Claim, Format, Part
from kolossos.data.x_posts import LongPosts, is_archive_head, is_post_head, read_posts
from kolossos.errors import InputError

POST_FILES = re.compile(
    r"(?:[^/]+/)?(?:data/)?(?:tweets?|note-tweet|community-tweet)(?:-part(\d+))?\.js"
    r"|(?:.*/)?data/js/tweets/\d{4}_\d\d\.js"
)
MAX_UNPACKED_BYTES = 8 << 30
MAX_COMPRESSION_RATIO = 200  # posts compress about 10 to 1, a zip bomb 1000 to 1
SUSPICIOUS_BYTES = 1 << 20  # whatever its ratio, less than this does no harm
DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, LZMAError, OSError, EOFError, ValueError, RuntimeError, KeyError)


class XArchive(Format):
    """A zip with posts in it, or a file of posts; every other part of an archive is private, whatever its name.

    A long post takes the place of its cut form in tweets.js, in a folder too, where both are files of one folder.
    """

    name = "x-archive"
    described = "an X archive (.zip or unpacked)"
    disk_bytes_per_byte = 3

    def claim(self, path: Path, named: bool) -> Claim:
        if path.suffix.lower() == ".zip":
            return Claim.ENDING if named or _has_posts(path) else Claim.NONE
        return Claim.CONTENT if _is_part(head(path)) else Claim.NONE

    def private(self, path: Path) -> str | None:
        if path.suffix.lower() == ".zip" or is_post_head(head(path)):
            return None
        return f"{path}: a private part of an X archive; only posts (tweets.js, note-tweet.js) are read"

    def owns_folder(self, folder: Path) -> bool:
        """The root of an unpacked archive and its folder ``data``: texts and tables in them are not the owner's own."""
        data = folder / "data"
        scripts = (folder / "manifest.js", data / "manifest.js", data / "js" / "user_details.js")
        if any(path.is_file() and is_archive_head(head(path)) for path in (*scripts, data / "js" / "tweet_index.js")):
            return True
        if folder.name == "data":
            return any(_is_private(path) for path in folder.glob("*.js"))
        return (folder / "assets").is_dir() and any(is_archive_head(head(path)) for path in data.glob("*.js"))

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document | LeftOut]:
        """Own posts in the archive's order; retweets are left out."""
        if path.suffix.lower() != ".zip":
            yield from _documents_of_file(path)
            return
        try:
            with zipfile.ZipFile(path) as archive:
                yield from _documents_of_zip(archive, path)
        except DAMAGED_ZIP as error:
            raise InputError(f"{path}: not a readable zip ({error}); download the archive again") from error


FORMAT = XArchive()


def _is_part(beginning: bytes) -> bool:
    return is_post_head(beginning) or is_archive_head(beginning)


def _is_private(path: Path) -> bool:
    return path.is_file() and is_archive_head(head(path)) and not is_post_head(head(path))


def _has_posts(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if POST_FILES.fullmatch(name)]
            for name in names:
                with archive.open(name) as file:
                    if is_post_head(file.read(4096).lstrip(b"\xef\xbb\xbf")):
                        return True
            return False
    except FileNotFoundError:
        raise
    except DAMAGED_ZIP:
        return False


def _is_notes(name: str) -> bool:
    return "note-tweet" in name.rpartition("/")[2]


def _documents_of_zip(archive: zipfile.ZipFile, path: Path) -> Iterator[Document | LeftOut]:
    members = _post_members(archive, path)

    def posts(info: zipfile.ZipInfo) -> Iterator[Document | LeftOut]:
        with archive.open(info) as file:
            yield from read_posts(file, f"{path}: {info.filename}", info.filename)  # pyright: ignore[reportArgumentType]

    long_posts = LongPosts(chain.from_iterable(posts(info) for info in members if _is_notes(info.filename)))
    for info in members:
        if not _is_notes(info.filename):
            for post in posts(info):
                yield long_posts.whole(post) if isinstance(post, Document) else post
    yield from long_posts.left()


def _documents_of_file(path: Path) -> Iterator[Document | LeftOut]:
    """The posts of one file; of a file of long posts those that stand in none of the files beside it."""
    beside = [other for other in sorted(path.parent.glob("*.js")) if is_post_head(head(other))]
    if _is_notes(path.name):
        long_posts = LongPosts(_posts(path))
        for other in beside:
            if not _is_notes(other.name):
                for post in _posts(other):
                    if isinstance(post, Document):
                        long_posts.whole(post)
        yield from long_posts.left()
        return
    long_posts = LongPosts(chain.from_iterable(_posts(other) for other in beside if _is_notes(other.name)))
    for post in _posts(path):
        yield long_posts.whole(post) if isinstance(post, Document) else post


def _posts(path: Path) -> Iterator[Document | LeftOut]:
    with open(path, "rb") as file:
        yield from read_posts(file, str(path), None)


def _post_members(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The members that hold posts, in order of their part number; months in order of time."""
    numbered = [(match, info) for info in archive.infolist() if (match := POST_FILES.fullmatch(info.filename))]
    if not numbered:
        raise InputError(f"{path}: no data/tweets.js in it; give the zip that X offers as 'archive of your data'")
    months = sorted((info for match, info in numbered if "/js/" in match[0]), key=lambda info: info.filename)
    parts = [(match, info) for match, info in numbered if "/js/" not in match[0]]
    members = months + [info for match, info in sorted(parts, key=lambda found: int((found[0][1] or "0")[:9]))]
    for info in members:
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > MAX_UNPACKED_BYTES or (ratio > MAX_COMPRESSION_RATIO and info.file_size > SUSPICIOUS_BYTES):
            raise InputError(
                f"{path}: {info.filename} unpacks to {info.file_size / 1e6:,.0f} MB, {ratio:,.0f} times its packed "
                f"size; posts never do, so it is not read"
            )
    return members
