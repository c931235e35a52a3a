"""JSON Lines, plain or packed: one document a line; blank lines are skipped. Dumps of Reddit are such files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from kolossos.data.compression import DAMAGED, PACKED_SUFFIXES, damage, inner_suffix, lines, unpacked
from kolossos.data.document import Document, LeftOut, bad_line
from kolossos.data.format import Claim, Format, Part
from kolossos.data.records import document_of
from kolossos.errors import InputError

SUFFIXES = (".jsonl", ".ndjson")
REDDIT_DUMP = re.compile(r"r[cs]_\d{4}-\d\d(\.\w+)?", re.IGNORECASE)


class JsonLines(Format):
    name = "jsonl"
    described = ".jsonl (also .gz, .bz2, .xz, .zst)"
    disk_bytes_per_byte = 3  # compressed ones grow when they are unpacked

    def claim(self, path: Path, named: bool) -> Claim:
        packed = path.suffix.lower() in PACKED_SUFFIXES
        dump = (packed or named) and REDDIT_DUMP.fullmatch(path.name)
        return Claim.ENDING if dump or inner_suffix(path) in SUFFIXES else Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document | LeftOut]:
        return line_documents(path, text_key)


def line_documents(path: Path, text_key: str) -> Iterator[Document | LeftOut]:
    """One document a line."""
    number = 0
    try:
        with unpacked(path) as file:
            for number, line in enumerate(lines(file, str(path)), start=1):
                if not line.isspace():
                    yield _document(line.removeprefix(b"\xef\xbb\xbf"), text_key, f"{path}:{number}", number)
    except DAMAGED as error:
        raise damage(path, error, f"line {number}") from error


def _document(line: bytes, text_key: str, origin: str, number: int) -> Document | LeftOut:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        message = f"{origin}: not JSON ({error}); each line must be one JSON object"
        return bad_line(origin, InputError(message))
    return document_of(record, text_key, origin, number)


FORMAT = JsonLines()
