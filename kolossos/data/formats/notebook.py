"""Notebooks (.ipynb): what was written in the cells, in order; what a program printed is left out."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolossos.data.compression import MAX_LINE_BYTES
from kolossos.data.document import Document, Facts, storable
from kolossos.data.format import Claim, Format, NotThisFormat, Part

WRITTEN_CELLS = ("markdown", "code", "heading")


class Notebook(Format):
    name = "notebook"
    described = ".ipynb"
    disk_bytes_per_byte = 2
    unreadable_in_folder = "skip"

    def claim(self, path: Path, named: bool) -> Claim:
        return Claim.ENDING if path.suffix.lower() == ".ipynb" else Claim.NONE

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document]:
        with open(path, "rb") as file:
            content = file.read(MAX_LINE_BYTES)
        try:
            cells = _cells(json.loads(content))
        except (ValueError, RecursionError) as error:
            raise NotThisFormat(f"{path}: not JSON ({error}), so no notebook") from error
        if cells is None:
            raise NotThisFormat(f"{path}: no notebook (it has no list 'cells')")
        text = "\n\n".join(source for cell in cells if (source := _source(cell)).strip())
        if text:
            yield Document(text, str(path), facts=Facts(url=storable(str(path))))


def _cells(notebook: Any) -> list[Any] | None:
    """The cells; those of version 3 lie in worksheets."""
    if not isinstance(notebook, dict):
        return None
    if isinstance(notebook.get("cells"), list):
        return notebook["cells"]
    sheets = notebook.get("worksheets")
    if not isinstance(sheets, list):
        return None
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    return [cell for cells in lists if isinstance(cells, list) for cell in cells]


def _source(cell: Any) -> str:
    if not isinstance(cell, dict) or cell.get("cell_type") not in WRITTEN_CELLS:
        return ""
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


FORMAT = Notebook()
