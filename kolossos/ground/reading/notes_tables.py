"""Community Notes out of the public tables: each note a source, and its text and status on the post that it is about.

A folder holds notes*.tsv (also .tsv.gz, .parquet) and, where it is known, noteStatusHistory*.tsv; the texts of posts
are no part of the public tables, so posts*.jsonl beside them may give them (id or tweetId, text, ...).
"""

import html
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kolossos.data.documents.clean import clean
from kolossos.errors import InputError
from kolossos.ground.reading.options import Reading
from kolossos.ground.source import Note, Source

UNRATED = "NEEDS_MORE_RATINGS"
ENDINGS = r"(\.tsv|\.tsv\.gz|\.parquet)"
COLUMNS = ("noteId", "tweetId", "summary", "createdAtMillis")
ROWS_AT_ONCE = 8 << 20  # bytes of a table


def table_files(folder: Path, name: str) -> list[Path]:
    """The files of one table, in order of their numbers."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(name + r"[-_]?\d{0,6}" + ENDINGS, path.name))


def is_notes_folder(path: Path) -> bool:
    """Whether ``path`` holds a table of notes."""
    return bool(table_files(path, "notes"))


def post_files(folder: Path) -> list[Path]:
    """The texts of posts beside the tables."""
    return sorted(folder.glob("posts*.jsonl"))


def note_sources(folder: Path, reading: Reading) -> Iterator[Source]:
    """Each note with a text as a source of kind note, which carries its own status."""
    for number, post, note in _notes(folder):
        if note.text:
            yield Source(
                key=f"note:{number}",
                kind="note",
                text=note.text,
                date=note.date,
                address=f"https://x.com/i/status/{post}",
                language=reading.options.language,
                notes=(note,),
            )
        else:
            reading.left_out["no_text"] += 1


def notes_by_post(folder: Path) -> dict[str, tuple[Note, ...]]:
    """The notes on each post, by the post's number, in the order of their dates."""
    found: defaultdict[str, list[Note]] = defaultdict(list)
    for _, post, note in _notes(folder):
        if note.text:
            found[post].append(note)
    oldest = datetime.min.replace(tzinfo=UTC)
    return {
        post: tuple(sorted(notes, key=lambda note: (note.date or oldest, note.id))) for post, notes in found.items()
    }


def _notes(folder: Path) -> Iterator[tuple[str, str, Note]]:
    """(number, number of the post, note)."""
    status: dict[str, str] = {}
    for path in table_files(folder, "noteStatusHistory"):
        for number, current in _rows(path, ("noteId", "currentStatus")):
            status[number] = current or UNRATED
    for path in table_files(folder, "notes"):
        for number, post, summary, created in _rows(path, COLUMNS):
            text = clean(html.unescape(summary or "")).strip()
            yield number, post or "", Note(number, text, status.get(number, UNRATED), _moment(created))


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The values of some columns as text, row by row; InputError for a table without them."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    try:
        if path.suffix == ".parquet":
            batches = parquet.ParquetFile(path).iter_batches(columns=list(columns))
        else:
            batches = csv.open_csv(
                pa.input_stream(str(path), compression="detect"),
                csv.ReadOptions(block_size=ROWS_AT_ONCE),
                csv.ParseOptions(delimiter="\t", newlines_in_values=True),
                csv.ConvertOptions(include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string())),
            )
        for batch in batches:
            if missing := [name for name in columns if name not in batch.schema.names]:
                raise InputError(f"{path} has no column {missing[0]}; give a public table of Community Notes")
            yield from zip(*(batch.column(name).cast(pa.string()).to_pylist() for name in columns), strict=True)
    except (pa.ArrowException, OSError) as error:
        message = " ".join(str(error).split())[:160]
        raise InputError(f"{path} cannot be read as a table of Community Notes: {message}") from None


def _moment(milliseconds: str | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(milliseconds or "") / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
