"""``.json`` by its form: an array of objects, JSON Lines (as C4 and Dolma are named), or one object."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

from kolossos.data.compression import DAMAGED, MAX_LINE_BYTES, damage, head, inner_suffix, unpacked
from kolossos.data.document import Document, LeftOut
from kolossos.data.format import Claim, Format, NotThisFormat, Part
from kolossos.data.formats.jsonl import line_documents
from kolossos.data.records import array_items, document_of
from kolossos.errors import InputError


class Json(Format):
    """A file of settings in a folder of programs is JSON without texts: found in a folder it is skipped and counted."""

    name = "json"
    described = ".json (also .gz, .zst)"
    disk_bytes_per_byte = 3
    unreadable_in_folder = "skip"

    def claim(self, path: Path, named: bool) -> Claim:
        if inner_suffix(path) == ".json":
            return Claim.ENDING
        if named and path.suffix.lower() not in KNOWN and head(path)[:1] in (b"{", b"["):
            return Claim.FALLBACK if _first_line_is_json(path) else Claim.NONE
        return Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document | LeftOut]:
        first = head(path)[:1]
        if first == b"[":
            yield from _array(path, text_key)
        elif first == b"{" and _first_line_is_json(path):
            yield from line_documents(path, text_key)
        else:
            yield document_of(_whole(path), text_key, str(path), 1)


KNOWN = frozenset({".txt", ".md"})  # texts, whatever they begin with


def _array(path: Path, text_key: str) -> Iterator[Document | LeftOut]:
    number = 0
    try:
        with unpacked(path) as file:
            stream = io.TextIOWrapper(file, encoding="utf-8-sig")
            for number, record in enumerate(array_items(stream, str(path)), start=1):
                yield document_of(record, text_key, f"{path}: item {number}", number)
    except UnicodeDecodeError as error:
        raise NotThisFormat(f"{path}: not UTF-8 after item {number}; give UTF-8 text") from error
    except DAMAGED as error:
        raise damage(path, error, f"item {number}") from error


def _whole(path: Path) -> object:
    try:
        with unpacked(path) as file:
            content = file.read(MAX_LINE_BYTES)
        if len(content) == MAX_LINE_BYTES:
            raise InputError(f"{path}: one JSON value of more than {MAX_LINE_BYTES >> 20} MiB; write a document a line")
        return json.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise NotThisFormat(f"{path}: not JSON ({error})") from error
    except DAMAGED as error:
        raise damage(path, error, "its beginning") from error


def _first_line_is_json(path: Path) -> bool:
    try:
        with unpacked(path) as file:
            line = b"\n"
            while line.isspace():
                line = file.readline(MAX_LINE_BYTES)
        return isinstance(json.loads(line.removeprefix(b"\xef\xbb\xbf")), dict | list)
    except (ValueError, RecursionError, *DAMAGED):
        return False


FORMAT = Json()
