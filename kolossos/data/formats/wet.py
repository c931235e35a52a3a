"""WET files of Common Crawl: the texts of web pages, a WARC record of type "conversion" each, plain or .gz."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kolossos.data.compression import DAMAGED, MAX_LINE_BYTES, damage, inner_suffix, unpacked
from kolossos.data.document import Document, Facts, LeftOut, as_date, bad_line, storable
from kolossos.data.format import Claim, Format, Part
from kolossos.errors import InputError

MAX_HEADER_LINES = 200
MAX_HEADER_BYTES = 1 << 16


class Wet(Format):
    name = "wet"
    described = "WET of Common Crawl (.wet, .wet.gz)"
    disk_bytes_per_byte = 4

    def claim(self, path: Path, named: bool) -> Claim:
        if inner_suffix(path) == ".wet":
            return Claim.ENDING
        return Claim.ENDING if named and inner_suffix(path) == ".warc" else Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document | LeftOut]:
        number = 0
        try:
            with unpacked(path) as file:
                while (header := _header(file, f"{path}: record {number + 1}")) is not None:
                    number += 1
                    yield from _documents(file, header, f"{path}: record {number}", number)
        except DAMAGED as error:
            raise damage(path, error, f"record {number}") from error


def _header(file: BinaryIO, origin: str) -> dict[str, str] | None:
    """The named fields of the next record; None behind the last."""
    line = b"\n"
    while line and not line.strip():
        line = file.readline(MAX_HEADER_BYTES)
    if not line:
        return None
    if not line.startswith(b"WARC/"):
        raise InputError(f"{origin}: does not begin with 'WARC/'; make the file again")
    fields: dict[str, str] = {}
    for _ in range(MAX_HEADER_LINES):
        line = file.readline(MAX_HEADER_BYTES)
        if not line.strip():
            return fields
        name, _, value = line.decode("utf-8", "replace").partition(":")
        fields[name.strip().lower()] = value.strip()
    raise InputError(f"{origin}: more than {MAX_HEADER_LINES} lines before its text; make the file again")


def _documents(file: BinaryIO, header: dict[str, str], origin: str, number: int) -> Iterator[Document | LeftOut]:
    kind, length = header.get("warc-type", ""), header.get("content-length", "")
    if kind in ("response", "resource"):
        raise InputError(f"{origin}: a web page as it was sent, not its text; give the WET files of the same crawl")
    if not (length.isascii() and length.isdecimal() and len(length) < 12 and int(length) < MAX_LINE_BYTES):
        raise InputError(f"{origin}: a length of {length[:40]!r} bytes; make the file again")
    content = file.read(int(length))
    if len(content) < int(length):
        raise InputError(f"{origin}: cut off; make the file again")
    if kind != "conversion":
        return
    facts = Facts(
        id=storable(header.get("warc-record-id", "").strip("<>")) or None,
        url=storable(header.get("warc-target-uri", "")) or None,
        date=as_date(header.get("warc-date")),
    )
    try:
        yield Document(content.decode(), origin, number, facts=facts)
    except UnicodeDecodeError:
        yield bad_line(origin, InputError(f"{origin}: not UTF-8; give UTF-8 text"))


FORMAT = Wet()
