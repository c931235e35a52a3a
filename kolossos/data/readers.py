"""Documents, one by one, out of a file of any known kind; memory holds one document (or one row group) at a time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolossos.data.archive import read_posts
from kolossos.data.sources import SourceFile
from kolossos.errors import InputError, nearest

PARQUET_ROWS_AT_ONCE = 1024
LARGE_FILE_BYTES = 1 << 20
PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class Document:
    """A text and where it came from (file, and line or row), for messages to the person."""

    text: str
    origin: str


class NotText(InputError):
    """A file that holds bytes that are not text; a folder skips such a file and counts it."""


def read_documents(file: SourceFile, text_key: str) -> Iterator[Document]:
    """The documents of one file in order.

    Args:
        file: what to read, and how.
        text_key: the key (.jsonl) or column (.parquet) that holds the text.

    Raises:
        NotText: a text file with NUL bytes or bytes that are not UTF-8.
        InputError: a line that is not JSON, a missing text key, a damaged file.
    """
    path = Path(file.path)
    if file.kind == "jsonl":
        return _read_jsonl(path, text_key)
    if file.kind == "parquet":
        return _read_parquet(path, text_key)
    if file.kind == "archive":
        return (Document(text, origin) for text, origin in read_posts(path))
    return _read_text(path)


def _read_text(path: Path) -> Iterator[Document]:
    """A text file is one document; one over LARGE_FILE_BYTES (a dump, a book) is a document every few paragraphs."""
    if path.stat().st_size <= LARGE_FILE_BYTES:
        content = path.read_bytes()
        if content:
            yield Document(_decoded(content, path, 1), str(path))
        return
    line_number = 1
    for piece in _pieces(path):
        yield Document(_decoded(piece, path, line_number), f"{path}:{line_number}")
        line_number += piece.count(b"\n")


def _pieces(path: Path) -> Iterator[bytes]:
    """The file cut at blank lines into pieces of about PIECE_BYTES; at any line where there are no blank ones."""
    lines: list[bytes] = []
    size = 0
    with open(path, "rb") as file:
        for line in file:
            lines.append(line)
            size += len(line)
            if size >= 2 * PIECE_BYTES or (size >= PIECE_BYTES and line.isspace()):
                yield b"".join(lines)
                lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _decoded(content: bytes, path: Path, first_line: int) -> str:
    if b"\0" in content:
        line = first_line + content.count(b"\n", 0, content.index(b"\0"))
        raise NotText(f"{path}:{line}: binary, not text (a NUL byte); give UTF-8 text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        raise NotText(f"{path}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}); give UTF-8 text") from error


def _read_jsonl(path: Path, text_key: str) -> Iterator[Document]:
    """One document a line; blank lines are skipped."""
    line_number = 0
    try:
        for line_number, line in enumerate(_lines(path), start=1):
            if not line.isspace():
                origin = f"{path}:{line_number}"
                yield Document(_text_in_line(line, text_key, origin), origin)
    except OSError as error:  # Arrow reports a damaged compressed stream as one
        raise InputError(f"{path}: damaged after line {line_number}: {error}; make the file again") from error


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed on the way by the file's ending."""
    import io

    import pyarrow

    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix.lower())
    with pyarrow.input_stream(str(path), compression=compression) as stream:
        yield from io.BufferedReader(stream, buffer_size=1 << 20)


def _text_in_line(line: bytes, text_key: str, origin: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{origin}: not JSON ({error}); each line must be one JSON object") from error
    if not isinstance(record, dict):
        raise InputError(f"{origin}: a JSON {type(record).__name__}, but each line must be one JSON object")
    if text_key not in record:
        raise InputError(f"{origin}: no key {text_key!r} (see --text-key){nearest(text_key, record)}")
    return _checked_text(record[text_key], text_key, origin)


def _checked_text(value: Any, text_key: str, origin: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{origin}: {text_key!r} holds a {type(value).__name__}, but it must be text")
    return value


def _read_parquet(path: Path, text_key: str) -> Iterator[Document]:
    """One document a row; rows without a text (null) are skipped."""
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            if text_key not in names:
                raise InputError(f"{path}: no column {text_key!r} (see --text-key){nearest(text_key, names)}")
            first_row = 1
            for batch in table.iter_batches(PARQUET_ROWS_AT_ONCE, columns=[text_key], use_threads=False):
                for row, value in enumerate(batch.column(0).to_pylist(), start=first_row):
                    if value is not None:
                        origin = f"{path}: row {row}"
                        yield Document(_checked_text(value, text_key, origin), origin)
                first_row += len(batch)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged Parquet ({str(error).splitlines()[0]}); make the file again") from error
