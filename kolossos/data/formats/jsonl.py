"""JSON Lines, plain or compressed: one document a line; blank lines are skipped."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolossos.data.document import Document, Facts
from kolossos.data.format import Claim, Format, Part
from kolossos.data.option_error import OptionError
from kolossos.errors import InputError, nearest

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst")


class JsonLines(Format):
    name = "jsonl"
    described = ".jsonl (also .gz, .zst)"
    disk_bytes_per_byte = 3  # compressed ones grow when they are unpacked

    def claim(self, path: Path, named: bool) -> Claim:
        return Claim.ENDING if path.name.lower().endswith(SUFFIXES) else Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document]:
        number = 0
        try:
            for number, line in enumerate(_lines(path), start=1):
                if not line.isspace():
                    origin = f"{path}:{number}"
                    record = _record(line, origin)
                    text = text_of(record, text_key, origin)
                    yield Document(text, origin, number, facts=Facts.of_record(record))
        except OSError as error:  # Arrow reports a damaged compressed stream as one
            raise InputError(f"{path}: damaged after line {number}: {error}; make the file again") from error


def text_of(record: dict[str, Any], text_key: str, origin: str) -> str:
    """The text of one record; InputError if it has none."""
    if text_key not in record:
        raise OptionError(f"{origin}: no key {text_key!r}{nearest(text_key, record)}", "text_key")
    value = record[text_key]
    if not isinstance(value, str):
        raise InputError(f"{origin}: {text_key!r} holds a {type(value).__name__}, but it must be text")
    return value


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed on the way by the file's ending."""
    import pyarrow

    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower())
    with pyarrow.input_stream(str(path), compression=compression) as stream:
        yield from io.BufferedReader(stream, buffer_size=1 << 20)


def _record(line: bytes, origin: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin}: not JSON ({error}); each line must be one JSON object") from error
    if not isinstance(record, dict):
        raise InputError(f"{origin}: a JSON {type(record).__name__}, but each line must be one JSON object")
    return record


FORMAT = JsonLines()
