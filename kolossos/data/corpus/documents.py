"""The table of documents beside each token shard: ``documents-train-00000.parquet``, row i is the shard's document i.

Columns: id, author, url, date (as the source says, null where it says nothing), source (the argument), file (its name
within the source; inside an archive "FILE: MEMBER"), line (line, row or post, from 1; null for a whole file).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolossos.files import whole_file

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 4096  # rows of a group: what is read for one document, and held in memory while writing


@dataclass(frozen=True)
class DocumentRecord:
    """What is known of a document, and where it came from."""

    id: str | None
    author: str | None
    url: str | None
    date: str | None
    source: str
    file: str
    line: int | None


RECORD_COLUMNS = tuple(column.name for column in fields(DocumentRecord))
row_of = attrgetter(*RECORD_COLUMNS)  # a record's values in the order of the columns


def table_schema() -> "pyarrow.Schema":
    """The columns of the table, as Arrow has them."""
    import pyarrow

    types = {column: pyarrow.string() for column in RECORD_COLUMNS} | {"line": pyarrow.int64()}
    return pyarrow.schema(list(types.items()))


class DocumentTableWriter:
    """Writes one table, whole or not at all; the same rows give the same bytes however they come."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet

        self._stack = ExitStack()
        file = self._stack.enter_context(whole_file(path))
        self._table = self._stack.enter_context(pyarrow.parquet.ParquetWriter(file, table_schema(), compression="zstd"))
        self._rows: list[DocumentRecord] = []

    def add(self, record: DocumentRecord) -> None:
        self._rows.append(record)
        if len(self._rows) == ROWS_AT_ONCE:
            self._write()

    def close(self) -> None:
        """Finish the table and give it its name."""
        if self._rows:
            self._write()
        self._stack.close()

    def abandon(self, *error: Any) -> None:
        """Leave nothing behind, because of ``error`` (what ``sys.exc_info`` gives)."""
        self._stack.__exit__(*error)

    def _write(self) -> None:
        import pyarrow

        schema = table_schema()
        columns = zip(*map(row_of, self._rows), strict=True)
        arrays = [pyarrow.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        self._table.write_batch(pyarrow.record_batch(arrays, schema=schema))
        self._rows = []


class DocumentTable:
    """A table, opened for reading."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet

        self._table = pyarrow.parquet.ParquetFile(path, memory_map=True)
        self._group: int | None = None
        self._rows: list[DocumentRecord] = []

    def row(self, index: int) -> DocumentRecord:
        """One row; its neighbours are then at hand too."""
        group, offset = divmod(index, ROWS_AT_ONCE)
        if group != self._group:
            self._rows, self._group = self._read(group), group
        return self._rows[offset]

    def rows(self) -> Iterator[DocumentRecord]:
        """All rows in order."""
        for group in range(self._table.num_row_groups):
            yield from self._read(group)

    def _read(self, group: int) -> list[DocumentRecord]:
        return [DocumentRecord(**row) for row in self._table.read_row_group(group).to_pylist()]
