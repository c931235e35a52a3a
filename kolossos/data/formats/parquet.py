"""Parquet: one document a row; rows without a text (null) are left out. Row groups are read by several processes.

A text is a column of text or of bytes that are UTF-8, or lies in a column of structures (``content.text``).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kolossos.data.document import FACT_KEYS, NO_TEXT, Document, Facts, LeftOut, bad_line
from kolossos.data.format import Claim, Format, Part
from kolossos.data.option_error import OptionError
from kolossos.data.records import document_of, nearest_key
from kolossos.errors import InputError

ROWS_AT_ONCE = 1024
DAMAGED = (OSError, UnicodeDecodeError, MemoryError, ValueError, OverflowError)


class Parquet(Format):
    name = "parquet"
    described = ".parquet"
    disk_bytes_per_byte = 6  # it grows when it is unpacked
    may_abort = True  # Arrow ends the process on some damaged files

    def claim(self, path: Path, named: bool) -> Claim:
        return Claim.ENDING if path.suffix.lower() == ".parquet" else Claim.NONE

    def parts(self, path: Path, about_bytes: int) -> Sequence[Part]:
        """Runs of row groups; none for a damaged file, which is refused when it is read."""
        import pyarrow
        import pyarrow.parquet

        try:
            with open(path, "rb") as file, pyarrow.parquet.ParquetFile(file) as table:
                sizes = [_packed_bytes(table.metadata.row_group(i)) for i in range(table.num_row_groups)]
        except (pyarrow.ArrowException, OSError, *DAMAGED):
            return ()
        parts: list[Part] = []
        start = size = 0
        for stop, group_bytes in enumerate(sizes, start=1):
            size += group_bytes
            if size >= about_bytes or stop == len(sizes):
                parts.append(Part(start, stop, size))
                start, size = stop, 0
        return parts

    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document | LeftOut]:
        import pyarrow
        import pyarrow.parquet

        try:
            # opened here, for Arrow takes no name that is not UTF-8
            with open(path, "rb") as file, pyarrow.parquet.ParquetFile(file) as table:
                names = table.schema_arrow.names
                steps = [text_key] if text_key in names else text_key.split(".")
                if steps[0] not in names:
                    raise OptionError(f"{path}: no column {text_key!r}{nearest_key(text_key, names)}", "text_key")
                groups = list(range(part.start, part.stop)) if part else None
                row = 1 + sum(table.metadata.row_group(i).num_rows for i in range(part.start if part else 0))
                fact_names = [name for name in FACT_KEYS if name in names and name != steps[0]]
                columns = [*steps[:1], *fact_names]
                for batch in table.iter_batches(ROWS_AT_ONCE, groups, columns=columns, use_threads=False):
                    texts = batch.column(steps[0]).to_pylist()
                    facts = [_values(batch.column(name)) for name in fact_names]
                    for i, value in enumerate(texts):
                        known = {name: values[i] for name, values in zip(fact_names, facts, strict=True)}
                        yield _document(value, steps, f"{path}: row {row + i}", row + i, Facts.of_record(known))
                    row += len(texts)
        except (pyarrow.ArrowException, *DAMAGED) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"{path}: damaged Parquet ({reason}); make the file again") from error


def _document(value: object, steps: list[str], origin: str, row: int, facts: Facts) -> Document | LeftOut:
    text_key = ".".join(steps)
    for step in steps[1:]:
        if value is None:
            break
        if not isinstance(value, dict) or step not in value:
            known = nearest_key(step, value) if isinstance(value, dict) else ""
            return bad_line(origin, OptionError(f"{origin}: no {step!r} of {text_key!r}{known}", "text_key"))
        value = value[step]
    if value is None:
        return LeftOut(NO_TEXT, origin)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            return bad_line(origin, InputError(f"{origin}: {text_key!r} holds bytes that are not UTF-8 ({error})"))
    return document_of({text_key: value}, text_key, origin, row, facts)


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
