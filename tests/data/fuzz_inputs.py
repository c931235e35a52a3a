"""Inputs for every reader, made from a number: good files that are changed at random, and what reading them gives.

Run as a program it reads the places that come on its input, one a line, and says of each what came out: a damaged
Parquet file may end the process that reads it.
"""

import bz2
import gzip
import io
import json
import random
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

from kolossos.data.documents.gather import Gathered, gather, plan_tasks
from kolossos.data.documents.sources import find_source
from kolossos.data.documents.work_files import read_batches
from kolossos.data.options import PrepareOptions
from kolossos.errors import InputError

MARKER = "words-to-nobody-else"
# fmt: off
PIECES = [b"https://t.co/x", b"",
           b"\0", b"\n", b"\r\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"=", b"\xff", b"\xef\xbb\xbf", b"&amp;",
          b"null", b"1e999", b"-", b"9" * 400, b"\\ud800", b"[" * 3000, b'{"text":' * 200, b"\xed\xa0\x80",
          b"window.YTD.tweets.part0 = [", b"WARC/1.0\r\n", b"Content-Length: 99999999999\r\n", b"PK\x05\x06",
          b";", b"\t", b'"text"', b'"messages"', b"true", b"\x1f\x8b", b"Infinity", b"NaN", b"a" * 5000, b"\xff\xfe"]
# fmt: on
RECORDS = [
    {"text": "Some words to learn from, again.", "id": 3, "date": 1714564800, "author": {"name": "Ada"}},
    {"text": None, "url": "https://example.org"},
    {"text": "Zeilen mit Ümlauten und 漢字, immer wieder.", "created_at": "Wed Oct 10 20:19:24 +0000 2018"},
    {"content": {"text": "Words inside."}, "messages": [{"role": "user", "content": "Hello"}]},
    {"subreddit": "a", "body": "A comment that is long enough to keep.", "author": "b"},
]
POSTS = [
    {
        "tweet": {
            "id_str": "1",
            "full_text": "See https://t.co/x &amp; &lt;b&gt;",
            "entities": {"urls": [{"url": "https://t.co/x", "expanded_url": "https://example.org/?a=1&region=2"}]},
        }
    },
    {"tweet": {"id_str": "2", "full_text": "RT @other: words"}},
    {"tweet": {"id_str": "3", "full_text": "A long post " * 22 + "… https://t.co/y"}},
    {"tweet": {"id_str": "4"}},
]
NOTES = [
    {
        "noteTweet": {
            "noteTweetId": "9",
            "createdAt": "2023-05-01T00:00:00.000Z",
            "core": {"text": "A long post " * 60, "urls": []},
        }
    }
]
PRIVATE_NAMES = ["direct-messages", "account", "like", "deleted-tweets", "phone-number", "ad-engagements", "manifest"]


def changed(content: bytes, dice: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled, or others put in."""
    data = bytearray(content)
    for _ in range(dice.choice((0, 1, 1, 2, 4, 8))):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0 if data:
                data[place % len(data)] ^= 1 << dice.randrange(8)
            case 1:
                del data[place : place + dice.choice((1, 3, 40, 1 << 20))]
            case 2:
                data[place:place] = dice.choice(PIECES)
            case 3:
                data[place:place] = data[place : place + 200]
            case _:
                data[place:place] = bytes(dice.randrange(256) for _ in range(dice.randrange(9)))
    return bytes(data)


def _lines(dice: random.Random) -> bytes:
    return b"".join(json.dumps(dice.choice(RECORDS)).encode() + b"\n" for _ in range(dice.randrange(1, 5)))


def _array(dice: random.Random) -> bytes:
    return json.dumps(dice.choices(RECORDS, k=dice.randrange(4)), indent=dice.choice((None, 1))).encode()


def _table(dice: random.Random) -> bytes:
    rows = [f'{i}{{0}}"Some words to learn from,\n by {i} ""of"" them"{{0}}x' for i in range(dice.randrange(4))]
    return "\n".join(["id{0}text{0}author", *rows]).format(dice.choice(",;\t")).encode()


def _notebook(dice: random.Random) -> bytes:
    cells = [{"cell_type": dice.choice(("markdown", "code", "raw")), "source": ["Some words ", "to learn from."]}]
    cells[0]["outputs"] = [{"text": MARKER}]
    return json.dumps({"cells": cells * dice.randrange(3), "nbformat": 4, "metadata": {}}).encode()


def _wet(dice: random.Random) -> bytes:
    body = b"Words of a page, and some more words of it.\n"
    head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: https://a\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head.encode() + body + b"\r\n\r\n") * dice.randrange(1, 4)


def _text(dice: random.Random) -> bytes:
    return b"A line of text, and another.\n\n" * dice.choice((1, 3, 50_000 if dice.random() < 0.003 else 5))


def _script(head: str, items: list, dice: random.Random, mutate: bool = True) -> bytes:
    content = json.dumps(items, ensure_ascii=dice.random() < 0.5).encode()
    return head.encode() + b" = " + (changed(content, dice) if mutate else content)


def _archive(dice: random.Random) -> dict[str, bytes]:
    """The files of an X archive, of which only posts may be read; private ones are changed behind their head."""
    private = [{"dmConversation": {"full_text": MARKER, "text": MARKER, "messages": [{"text": MARKER}]}}]
    files = {"data/tweets.js": changed(_script("window.YTD.tweets.part0", POSTS, dice), dice)}
    if MARKER.encode() in files["data/tweets.js"]:
        raise AssertionError("the marker is no part of posts")
    if dice.random() < 0.7:
        files["data/note-tweet.js"] = _script("window.YTD.note_tweet.part0", NOTES, dice)
    if dice.random() < 0.3:
        files["data/community-tweet.js"] = _script("window.YTD.community_tweet.part0", POSTS, dice)
    if dice.random() < 0.3:
        files["data/js/tweets/2012_08.js"] = _script("Grailbird.data.tweets_2012_08", [p["tweet"] for p in POSTS], dice)
    for name in dice.sample(PRIVATE_NAMES, 3):
        head = "window.__THAR_CONFIG" if name == "manifest" else f"window.YTD.{name.replace('-', '_')}.part0"
        files[f"data/{name}.js"] = _script(head, private, dice)
    files["data/README.txt"] = files["assets/js/main.js"] = f"// {MARKER}".encode()
    return files


def _zip(dice: random.Random) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", dice.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in _archive(dice).items():
            archive.writestr(name, content)
    return packed.getvalue()


def _parquet(dice: random.Random) -> bytes:
    import pyarrow
    import pyarrow.parquet

    texts = ["Some words to learn from.", None, "Others."] * 20
    columns = {"text": dice.choice(([t.encode() if t else t for t in texts], texts)), "id": list(range(60))}
    out = io.BytesIO()
    compression = dice.choice(("none", "snappy", "zstd", "gzip"))
    table = pyarrow.table(columns)
    pyarrow.parquet.write_table(table, out, compression=compression, row_group_size=dice.choice((7, 100)))
    return out.getvalue()


def _zstd(content: bytes) -> bytes:
    import pyarrow

    with tempfile.NamedTemporaryFile() as file:
        with pyarrow.output_stream(file.name, compression="zstd") as stream:
            stream.write(content)
        return Path(file.name).read_bytes()


KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "a.jsonl": _lines,
    "a.ndjson.gz": _lines,
    "RC_2012-01.bz2": _lines,
    "RS_2012-01.zst": _lines,
    "a.json": _array,
    "b.json": _lines,
    "c.json": lambda dice: json.dumps(dice.choice(RECORDS)).encode(),
    "a.json.gz": _array,
    "a.csv": _table,
    "a.tsv": _table,
    "a.ipynb": _notebook,
    "a.wet": _wet,
    "a.warc.wet.gz": _wet,
    "a.txt": _text,
    "a.md.gz": _text,
    "unknown": _lines,
    "a.zip": _zip,
    "archive": _zip,
    "private": _zip,
}
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": _zstd}


def write_input(number: int, folder: Path, parquet: bool = False) -> Path:
    """The input of this number under ``folder``: a file, or a folder that holds one (or an archive)."""
    dice = random.Random(number)
    if parquet:
        (folder / "a.parquet").write_bytes(changed(_parquet(dice), dice))
        return folder / "a.parquet"
    name = dice.choice(list(KINDS))
    if name in ("archive", "private"):
        for path, content in _archive(dice).items():
            (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / path).write_bytes(content)
        private = [p for p in (folder / name / "data").glob("*.js") if "tweet" not in p.name or "deleted" in p.name]
        return folder / name if name == "archive" else dice.choice(sorted(private))
    content = KINDS[name](dice)
    packer = PACKERS.get(Path(name).suffix)
    if packer is not None:  # damage inside, outside, or both
        content = (
            changed(packer(changed(content, dice)), dice) if dice.random() < 0.5 else packer(changed(content, dice))
        )
    elif name != "a.zip" or dice.random() < 0.5:
        content = changed(content, dice)
    (folder / "f").mkdir()
    (folder / "f" / name).write_bytes(content)
    return folder / "f" if dice.random() < 0.5 else folder / "f" / name


def read_input(place: Path, number: int) -> tuple[Gathered | str, list[str]]:
    """What `prepare` would read of it: the counts (or the one line that says why not), and the texts."""
    dice = random.Random(number)
    options = PrepareOptions(
        min_chars=1,
        text_key=dice.choice(("text", "text", "text", "content.text")),
        bad_lines=dice.choice(("refuse", "skip")),
        mask=("emails", "ips"),
        community_posts=dice.random() < 0.5,
    )
    texts: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        try:
            source = find_source(str(place))
            counts = None
            for task in plan_tasks([source], Path(work), options):
                counts = gather(task)
                for batch in read_batches(task.arrow_path, ["text", "author", "url", "date", "id"]):
                    texts += [text for column in batch.values() for text in column if text]
        except InputError as error:
            if "\n" in str(error):
                raise AssertionError(f"more than one line: {error}") from error
            return str(error), texts
        assert counts is not None
        return counts, texts


def main() -> None:
    """A place and a number come in on each line; ``read``, ``refused`` or a traceback goes out."""
    for line in sys.stdin:
        place, number = line.rstrip("\n").rsplit(" ", 1)
        try:
            outcome, _ = read_input(Path(place), int(number))
            print("refused" if isinstance(outcome, str) else "read", flush=True)
        except Exception:
            print("TRACEBACK " + " | ".join(traceback.format_exc().splitlines()), flush=True)


if __name__ == "__main__":
    main()
