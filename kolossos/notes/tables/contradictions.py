"""Rows that contradict each other or themselves: counted, with an example of each, never silently dropped."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolossos.notes.tables.library import polars
from kolossos.notes.tables.read import Tables
from kolossos.notes.tables.schema import LEVELS, SNOWFLAKE_EPOCH_MILLIS

if TYPE_CHECKING:
    import polars as pl

CLOCK_TOLERANCE_MILLIS = 60_000


@dataclass(frozen=True)
class Contradiction:
    """A kind of contradiction: how many rows have it, what is done about them, and one of them."""

    name: str
    rows: int
    treatment: str
    example: str


def contradictions(tables: Tables) -> list[Contradiction]:
    """Every kind that is looked for, in a fixed order, the ones without rows included."""
    pl = polars()
    ratings = tables.ratings
    pairs = ["noteId", "raterParticipantId"]
    distinct = ratings.unique(maintain_order=True)
    conflicting = distinct.filter(pl.struct(pairs).is_duplicated())
    listed = tables.notes.select("noteId").unique()
    past = tables.history.select("noteId").unique()
    unlisted = ratings.join(listed, on="noteId", how="anti")
    notes = _note_times(tables)
    timed = ratings.join(notes, on="noteId", how="inner")
    level = pl.col("helpfulnessLevel")
    unanswered = ratings.filter(
        ~level.is_in(list(LEVELS)).fill_null(False)
        & (pl.col("helpful").fill_null(0) != 1)
        & (pl.col("notHelpful").fill_null(0) != 1)
    )
    enrolled = tables.enrollment.select(pl.col("participantId").alias("raterParticipantId"))
    from_id = pl.col("noteId") // (1 << 22) + SNOWFLAKE_EPOCH_MILLIS
    off_clock = tables.notes.filter((pl.col("createdAtMillis") - from_id).abs() > CLOCK_TOLERANCE_MILLIS)
    found = [
        _of("exactly equal rating rows", ratings.filter(ratings.is_duplicated()), "one of them is kept", pairs),
        _of("different ratings by one rater on one note", conflicting, "the latest is kept", pairs),
        _of("ratings without an answer", unanswered, "not used", pairs),
        _of("ratings of deleted notes", unlisted.join(past, on="noteId", how="semi"), "used, as officially", pairs),
        _of("ratings of notes in neither table", unlisted.join(past, on="noteId", how="anti"), "not used", pairs),
        _of("ratings before their note", timed.filter(pl.col("createdAtMillis") < pl.col("_noted")), "used", pairs),
        _of(
            "ratings by the note's author",
            timed.filter(pl.col("raterParticipantId") == pl.col("_author")),
            "used",
            pairs,
        ),
        _of(
            "ratings by raters without an enrolment row",
            ratings.join(enrolled, on="raterParticipantId", how="anti"),
            "used as core",
            pairs,
        ),
        _of(
            "notes listed twice",
            tables.notes.filter(pl.col("noteId").is_duplicated()),
            "the last is kept",
            ["noteId"],
        ),
        _of("notes absent from the history", listed.join(past, on="noteId", how="anti"), "used", ["noteId"]),
        _of("notes whose time is not that of their id", off_clock, "the table's time is used", ["noteId"]),
    ]
    return found


def _note_times(tables: Tables) -> "pl.DataFrame":
    pl = polars()
    columns = ["noteId", pl.col("createdAtMillis").alias("_noted"), pl.col("noteAuthorParticipantId").alias("_author")]
    both = pl.concat([tables.notes.select(columns), tables.history.select(columns)])
    return both.filter(pl.col("_noted") > 0).unique("noteId", keep="first", maintain_order=True)


def _of(name: str, rows: "pl.DataFrame", treatment: str, keys: list[str]) -> Contradiction:
    example: dict[str, Any] = rows.select(keys).row(0, named=True) if rows.height else {}
    return Contradiction(name, rows.height, treatment, ", ".join(f"{k} {v}" for k, v in example.items()))
