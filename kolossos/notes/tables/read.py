"""Public tables into columns: files found by name, columns by their header, types checked where they break.

TSV (also .tsv.gz) and parquet are read through polars' streaming engine; a table may be split over files. Identifiers
are parsed as 64-bit integers straight from their text and never pass through a float. Times are floats of
milliseconds (exact below 2^53) where a cell may be empty.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolossos.errors import InputError
from kolossos.files import sha256_of
from kolossos.notes.tables.library import polars
from kolossos.notes.tables.schema import NEEDED, TABLES, Column, Kind, TableSchema

if TYPE_CHECKING:
    import polars as pl

ENDINGS = (".tsv", ".tsv.gz", ".parquet")
_EXACT_BELOW = float(2**53)


@dataclass(frozen=True)
class ReadFile:
    """A file that was read: its table, size, hash, rows, and how its header differs from today's columns."""

    path: str
    table: str
    bytes: int
    sha256: str
    rows: int
    renamed: dict[str, str]
    not_used: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Tables:
    """The columns of a release; a table that is absent has no rows."""

    notes: "pl.DataFrame"
    ratings: "pl.DataFrame"
    history: "pl.DataFrame"
    enrollment: "pl.DataFrame"
    clusters: "pl.DataFrame"
    files: tuple[ReadFile, ...] = field(default=())


def table_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each table in ``folder``: ``ratings.tsv``, ``ratings-00003.tsv``, ``ratings.parquet`` and so on.

    Raises:
        InputError: no such folder, or a table held twice, once as TSV and once as parquet.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give one that holds notes and ratings as TSV or parquet")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = re.fullmatch(r"(\w+?)(?:[-_]?\d{1,6})?(\.tsv|\.tsv\.gz|\.parquet)", path.name)
        if match and match[1] in TABLES and path.is_file():
            found.setdefault(match[1], []).append(path)
    for name, paths in found.items():
        endings = {".parquet" if path.suffix == ".parquet" else ".tsv" for path in paths}
        if len(endings) > 1:
            raise InputError(f"{folder} holds the table {name} both as TSV and as parquet; keep one of them")
    for name in NEEDED:
        if name not in found:
            raise InputError(f"{folder} holds no {name} table; looked for {name}*.tsv, {name}*.tsv.gz, {name}*.parquet")
    return found


def read_tables(folder: Path, hashes: bool = True, history: Path | None = None) -> Tables:
    """Read every table of ``folder``.

    Args:
        hashes: also the sha256 of each file.
        history: another folder whose noteStatusHistory and rater_clusters are read in place of this one's.

    Raises:
        InputError: a file that cannot be read, a column that is required and absent, or a cell of the wrong type.
    """
    pl = polars()
    files = table_files(folder)
    if history is not None:
        files |= {n: p for n, p in _some_files(history).items() if n in ("noteStatusHistory", "rater_clusters")}
    frames: dict[str, Any] = {}
    read: list[ReadFile] = []
    for name, schema in TABLES.items():
        parts = []
        for path in files.get(name, []):
            frame, about = read_file(path, schema, hashes)
            parts.append(frame)
            read.append(about)
        frames[name] = pl.concat(parts) if parts else _empty(schema)
    return Tables(
        frames["notes"],
        frames["ratings"],
        frames["noteStatusHistory"],
        frames["userEnrollment"],
        frames["rater_clusters"],
        tuple(read),
    )


def _some_files(folder: Path) -> dict[str, list[Path]]:
    return {name: [folder / f"{name}.parquet"] for name in TABLES if (folder / f"{name}.parquet").exists()}


def read_file(path: Path, schema: TableSchema, hashes: bool = True) -> tuple["pl.DataFrame", ReadFile]:
    """Read one file of table ``schema`` into its columns, each of the type its kind says.

    Raises:
        InputError: unreadable, a required column absent, or a cell of the wrong type (file, row and column are named).
    """
    pl = polars()
    scan, header = _headed(path)
    known = schema.by_any_name()
    source: dict[str, str] = {}
    for name in header:
        column = known.get(name)
        if column is not None and (column.name not in source or name == column.name):
            source[column.name] = name
    for column in schema.columns:
        if column.required and column.name not in source:
            names = " or ".join((column.name, *column.aliases))
            raise InputError(f"{path}: the column {names} is missing; it has {_one_line(', '.join(header[:12]))} ...")
    present = [column for column in schema.columns if column.name in source]
    readers = _checked_readers(path, scan, present, source)
    wanted = [
        (readers[c.name] if c.name in source else pl.lit(None).cast(dtype_of(c))).alias(c.name) for c in schema.columns
    ]
    frame = _collected(path, scan.select(wanted))
    about = ReadFile(
        path=str(path),
        table=schema.name,
        bytes=path.stat().st_size,
        sha256=sha256_of(path) if hashes else "",
        rows=frame.height,
        renamed={given: name for name, given in source.items() if given != name},
        not_used=tuple(name for name in header if name not in set(source.values())),
        absent=tuple(c.name for c in schema.columns if c.name not in source),
    )
    return frame, about


def _scan(path: Path) -> "pl.LazyFrame":
    pl = polars()
    if path.suffix == ".parquet":
        return pl.scan_parquet(path)
    return pl.scan_csv(path, separator="\t", infer_schema=False, quote_char='"')


def _headed(path: Path) -> tuple["pl.LazyFrame", list[str]]:
    """The file, not yet read, and its column names without spaces around them or a byte order mark."""
    pl = polars()
    try:
        scan = _scan(path)
        given = scan.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} cannot be read as {_form(path)}: {_first_line(error)}") from error
    names = [name.strip().lstrip("\ufeff") for name in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path} has the column {_one_line(twice[0])} twice")
    return (scan if names == given else scan.rename(dict(zip(given, names, strict=True)))), names


def _form(path: Path) -> str:
    return "parquet" if path.suffix == ".parquet" else "a tab-separated table with a header"


def _one_line(text: str) -> str:
    """Names of columns as they may stand in a message: on one line, not too long."""
    return " ".join(text.split())[:300]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _collected(path: Path, lazy: "pl.LazyFrame") -> "pl.DataFrame":
    pl = polars()
    try:
        return lazy.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path} cannot be read as {_form(path)}: {_first_line(error)}") from error


def dtype_of(column: Column) -> Any:
    """The polars type that holds a column of this kind."""
    pl = polars()
    return {
        Kind.IDENTIFIER: pl.Int64,
        Kind.TIME: pl.Float64,
        Kind.FLAG: pl.Int8,
        Kind.NUMBER: pl.Float64,
        Kind.TEXT: pl.String,
    }[column.kind]


def _text(cell: "pl.Expr") -> "pl.Expr":
    pl = polars()
    stripped = cell.cast(pl.String, strict=False).str.strip_chars()
    return pl.when(stripped == "").then(None).otherwise(stripped)


def _plain(cell: "pl.Expr", kind: Kind) -> "pl.Expr":
    """The cell as its kind in one cast, null where that fails: enough for cells without spaces or decimal points."""
    pl = polars()
    if kind is Kind.TEXT:
        return cell.cast(pl.String, strict=False)
    if kind is Kind.IDENTIFIER:
        return cell.cast(pl.Int64, strict=False)
    if kind is Kind.FLAG:
        flag = cell.cast(pl.Int8, strict=False)
        return pl.when(flag.is_between(0, 1)).then(flag).otherwise(None)
    number = cell.cast(pl.Float64, strict=False)
    return pl.when(number.abs() < _EXACT_BELOW).then(number).otherwise(None)


def _lenient(cell: "pl.Expr", kind: Kind) -> "pl.Expr":
    """The cell as its kind where it may be padded, empty, ``nan`` or written like 1.0; null where it is wrong."""
    pl = polars()
    text = _text(cell)
    if kind is Kind.IDENTIFIER:
        return text.cast(pl.Int64, strict=False)
    number = text.cast(pl.Float64, strict=False)
    if kind is Kind.FLAG:
        return pl.when(number.is_in([0.0, 1.0])).then(number).otherwise(None).cast(pl.Int8)
    return pl.when(number.abs() < _EXACT_BELOW).then(number).otherwise(None)


def _is_wrong(cell: "pl.Expr", kind: Kind) -> "pl.Expr":
    text = _text(cell)
    empty = text.is_null() | (text.str.to_lowercase() == "nan")
    return _lenient(cell, kind).is_null() & ~empty


def _checked_readers(
    path: Path, scan: "pl.LazyFrame", columns: list[Column], source: dict[str, str]
) -> dict[str, "pl.Expr"]:
    """How to read each column; a cell that no reader understands is an error that names it."""
    pl = polars()
    dtypes = scan.collect_schema()
    for column in columns:
        if column.kind is Kind.IDENTIFIER and dtypes[source[column.name]].is_float():
            raise InputError(
                f"{path}, column {source[column.name]}: stored as floating point, which cannot hold "
                f"{column.kind.value}; store it as a 64-bit integer or as text"
            )
    failing = _collected(
        path,
        scan.select(
            [
                ((_plain(pl.col(source[c.name]), c.kind).is_null() & pl.col(source[c.name]).is_not_null()).sum()).alias(
                    c.name
                )
                for c in columns
            ]
        ),
    ).row(0, named=True)
    readers = {}
    for column in columns:
        cell = pl.col(source[column.name])
        readers[column.name] = _plain(cell, column.kind)
        if failing[column.name]:
            wrong = _is_wrong(cell, column.kind)
            if _collected(path, scan.select(wrong.sum())).item():
                _name_first(path, scan, column, source[column.name], wrong)
            readers[column.name] = _lenient(cell, column.kind)
        if column.required and _collected(path, scan.select(readers[column.name].null_count())).item():
            _name_first(path, scan, column, source[column.name], readers[column.name].is_null())
    return readers


def _name_first(path: Path, scan: "pl.LazyFrame", column: Column, given: str, wrong: "pl.Expr") -> None:
    pl = polars()
    first = _collected(
        path, scan.with_row_index("_row").filter(wrong).select("_row", pl.col(given).alias("_cell")).head(1)
    )
    row, cell = first.row(0)
    shown = repr(str(cell)[:40]) if cell is not None else "empty"
    raise InputError(f"{path}, row {row + 1}, column {given}: {shown} is not {column.kind.value}")


def _empty(schema: TableSchema) -> "pl.DataFrame":
    pl = polars()
    return pl.DataFrame(schema={column.name: dtype_of(column) for column in schema.columns})
