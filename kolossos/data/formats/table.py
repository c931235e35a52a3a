"""Tables with a header line (.csv, .tsv): one document a row, its text in the column of that name."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kolossos.data.compression import DAMAGED, damage, inner_suffix, lines, unpacked
from kolossos.data.document import NO_TEXT, Document, LeftOut, bad_line
from kolossos.data.format import Claim, Format, NotThisFormat, Part
from kolossos.data.option_error import OptionError
from kolossos.data.records import document_of, nearest_key
from kolossos.errors import InputError

DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}
MAX_FIELD_CHARACTERS = 1 << 26  # a quote that nothing closes takes the rest of a file for one field


class Table(Format):
    """Tables of figures have no text: found in a folder they are skipped and counted."""

    name = "table"
    described = ".csv, .tsv"
    disk_bytes_per_byte = 3
    unreadable_in_folder = "skip"

    def claim(self, path: Path, named: bool) -> Claim:
        return Claim.ENDING if inner_suffix(path) in DELIMITERS else Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document | LeftOut]:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
        row = 0
        try:
            with unpacked(path) as file:
                decoded = _decoded(file, path)
                header_line = next(decoded, "")
                header, delimiter = _header(header_line, text_key, path)
                for row, values in enumerate(csv.reader(decoded, delimiter=delimiter), start=1):
                    if values:
                        yield _document(header, values, text_key, f"{path}: row {row}", row)
        except csv.Error as error:
            raise NotThisFormat(f"{path}: no table after row {row} ({error})") from error
        except DAMAGED as error:
            raise damage(path, error, f"row {row}") from error


def _header(line: str, text_key: str, path: Path) -> tuple[list[str], str]:
    """The names of the columns, and the sign between them: the first under which the text has a column."""
    known: list[str] = []
    for delimiter in DELIMITERS[inner_suffix(path)]:
        names = next(csv.reader([line.removeprefix("\ufeff")], delimiter=delimiter), [])
        if text_key in names:
            return names, delimiter
        known = known or names
    raise OptionError(f"{path}: no column {text_key!r} in its first line{nearest_key(text_key, known)}", "text_key")


def _document(header: list[str], values: list[str], text_key: str, origin: str, row: int) -> Document | LeftOut:
    record = dict(zip(header, values, strict=False))
    if text_key not in record or not record[text_key]:
        return LeftOut(NO_TEXT, origin)
    if any("\udc80" <= character <= "\udcff" for character in record[text_key]):
        return bad_line(origin, InputError(f"{origin}: not UTF-8; give UTF-8 text"))
    return document_of(record, text_key, origin, row)


def _decoded(file: BinaryIO, path: Path) -> Iterator[str]:
    """Lines as text; bytes that are no UTF-8 as halves of surrogate pairs, which no UTF-8 gives."""
    for line in lines(file, str(path)):
        yield line.decode("utf-8", "surrogateescape")


FORMAT = Table()
