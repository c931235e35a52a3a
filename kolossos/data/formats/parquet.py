"""Parquet: one document a row; rows without a text (null) are skipped. Row groups are read by several processes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kolossos.data.document import FACT_KEYS, Document, Facts
from kolossos.data.format import Claim, Format, Part
from kolossos.data.option_error import OptionError
from kolossos.errors import InputError, nearest

ROWS_AT_ONCE = 1024


class Parquet(Format):
    name = "parquet"
    described = ".parquet"
    disk_bytes_per_byte = 6  # it grows when it is unpacked

    def claim(self, path: Path, named: bool) -> Claim:
        return Claim.ENDING if path.suffix.lower() == ".parquet" else Claim.NONE

    def parts(self, path: Path, about_bytes: int) -> Sequence[Part]:
        """Runs of row groups; none for a damaged file, which is refused when it is read."""
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(path) as table:
                sizes = [_packed_bytes(table.metadata.row_group(i)) for i in range(table.num_row_groups)]
        except (pyarrow.ArrowException, OSError):
            return ()
        parts: list[Part] = []
        start = size = 0
        for stop, group_bytes in enumerate(sizes, start=1):
            size += group_bytes
            if size >= about_bytes or stop == len(sizes):
                parts.append(Part(start, stop, size))
                start, size = stop, 0
        return parts

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document]:
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(path) as table:
                names = table.schema_arrow.names
                if text_key not in names:
                    raise OptionError(f"{path}: no column {text_key!r}{nearest(text_key, names)}", "text_key")
                groups = list(range(part.start, part.stop)) if part else None
                row = 1 + sum(table.metadata.row_group(i).num_rows for i in range(part.start if part else 0))
                fact_names = [name for name in FACT_KEYS if name in names and name != text_key]
                columns = [text_key, *fact_names]
                for batch in table.iter_batches(ROWS_AT_ONCE, groups, columns=columns, use_threads=False):
                    texts = batch.column(text_key).to_pylist()
                    facts = [_values(batch.column(name)) for name in fact_names]
                    for i, text in enumerate(texts):
                        if text is not None:
                            known = {name: values[i] for name, values in zip(fact_names, facts, strict=True)}
                            yield _document(text, text_key, row + i, f"{path}: row {row + i}", Facts.of_record(known))
                    row += len(texts)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: damaged Parquet ({str(error).splitlines()[0]}); make the file again") from error


def _document(text: object, text_key: str, row: int, origin: str, facts: Facts) -> Document:
    if not isinstance(text, str):
        raise InputError(f"{origin}: {text_key!r} holds a {type(text).__name__}, but it must be text")
    return Document(text, origin, row, facts=facts)


def _values(column: Any) -> list[Any]:
    """The values of a column of facts; nothing where they are times that Python's own cannot hold."""
    import pyarrow

    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return [None] * len(column)


def _packed_bytes(group: Any) -> int:
    return sum(group.column(i).total_compressed_size for i in range(group.num_columns))


FORMAT = Parquet()
