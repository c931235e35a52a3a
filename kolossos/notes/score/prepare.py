"""From tables to arrays: answers to numbers, duplicates and unknown notes out, busy and correlated raters marked."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.score.columns import CORE_GROUPS, NMR, Notes, Participants, Ratings, World, count_per
from kolossos.notes.tables.library import polars
from kolossos.notes.tables.read import Tables
from kolossos.notes.tables.schema import (
    HELPFUL_TAGS,
    LEVELS,
    NOT_HELPFUL_TAGS,
    NOT_MISLEADING,
    POPULATION_SAMPLED,
    SNOWFLAKE_EPOCH_MILLIS,
)

if TYPE_CHECKING:
    import polars as pl

DAY_MILLIS = 86_400_000
NOT_MISLEADING_FORM_MILLIS = 1664755200000  # 3 October 2022: older "not misleading" notes are not scored
FEWEST_NOTES_FOR_MARKS = 200  # below it nobody is marked as busy and no linked rating is dropped
BUSY_DAYS, BUSY_QUANTILE = (7, 28), 0.999


def prepare(tables: Tables, now: float | None = None, *, pilot: bool = False) -> World:
    """The world of a scoring run.

    Args:
        now: the run's moment in UTC ms; by default the newest time in the tables.
        pilot: as the pilot counted: ratings of "not misleading" notes of that time stay, and an answer that is neither
            helpful nor not counts as not helpful.

    Raises:
        InputError: no rating with an answer on a known note.
    """
    pl = polars()
    frame, dropped = _answered(tables.ratings, pilot)
    participants = _participants(tables)
    notes = _notes(tables, participants)
    if now is None:
        times = [tables.ratings["createdAtMillis"].max(), tables.notes["createdAtMillis"].max()]
        times.append(tables.history["timestampMillisOfCurrentStatus"].max())
        now = max((float(t) for t in times if t is not None), default=0.0)  # type: ignore[arg-type]
    busy = _busy_raters(frame)
    frame = frame.join(
        pl.DataFrame({"noteId": notes.id_N, "_note": np.arange(len(notes), dtype=np.int32)}), on="noteId", how="left"
    ).join(
        pl.DataFrame({"raterParticipantId": participants.id_P, "_rater": np.arange(len(participants), dtype=np.int32)}),
        on="raterParticipantId",
        how="left",
    )
    known = frame.filter(pl.col("_note").is_not_null())
    dropped["of a note in neither table"] = frame.height - known.height
    ratings = _ratings(known.sort("_note", "_rater"), busy)
    old = notes.not_misleading_N & (notes.created_N <= NOT_MISLEADING_FORM_MILLIS) & (not pilot)
    kept = ~old[ratings.note_R]
    dropped["of an old not-misleading note"] = int((~kept).sum())
    ratings = ratings.where(kept)
    ratings, linked = _without_linked(ratings, notes, participants, tables)
    dropped["of a linked rater after the first"] = linked
    if not len(ratings):
        raise InputError("no rating with an answer on a known note is left; nothing can be scored")
    return World(ratings, notes, participants, float(now), dropped)


def _answered(ratings: "pl.DataFrame", pilot: bool) -> tuple["pl.DataFrame", dict[str, int]]:
    """Ratings with an answer, one a pair of rater and note, and how many rows were dropped why."""
    pl = polars()
    dropped = {}
    unique = ratings.unique(maintain_order=True)
    dropped["an exact duplicate"] = ratings.height - unique.height
    level = pl.col("helpfulnessLevel")
    answer = pl.when(pl.col("helpful") == 1).then(1.0).otherwise(None)
    answer = pl.when(pl.col("notHelpful") == 1).then(0.0).otherwise(answer)
    for name, value in LEVELS.items():
        answer = pl.when(level == name).then(value).otherwise(answer)
    unique = unique.with_columns((answer.fill_null(0.0) if pilot else answer).alias("_answer"))
    answered = unique.filter(pl.col("_answer").is_not_null())
    dropped["without an answer"] = unique.height - answered.height
    latest = answered.sort("createdAtMillis", maintain_order=True).unique(
        ["noteId", "raterParticipantId"], keep="last", maintain_order=True
    )
    dropped["an older rating of the same note by the same rater"] = answered.height - latest.height
    return latest, dropped


def _participants(tables: Tables) -> Participants:
    pl = polars()
    names = pl.concat(
        [
            tables.ratings["raterParticipantId"],
            tables.notes["noteAuthorParticipantId"],
            tables.history["noteAuthorParticipantId"],
        ]
    )
    everyone = pl.DataFrame({"participantId": names.drop_nulls().unique().sort()})
    enrolled = tables.enrollment.select("participantId", "modelingGroup").unique("participantId", keep="last")
    joined = everyone.join(
        enrolled.with_columns(pl.lit(True).alias("_enrolled")), on="participantId", how="left", maintain_order="left"
    )
    return Participants(
        id_P=joined["participantId"].to_numpy(),
        group_P=joined["modelingGroup"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        enrolled_P=joined["_enrolled"].fill_null(False).to_numpy(),
    )


def _notes(tables: Tables, participants: Participants) -> Notes:
    pl = polars()
    listed = tables.notes.unique("noteId", keep="last", maintain_order=True).select(
        "noteId",
        pl.col("noteAuthorParticipantId").alias("_author"),
        pl.col("createdAtMillis").alias("_created"),
        "classification",
        pl.lit(True).alias("_listed"),
    )
    history = tables.history.unique("noteId", keep="last", maintain_order=True)
    joined = history.join(listed, on="noteId", how="full", coalesce=True).sort("noteId")
    code = pl.DataFrame({"a": participants.id_P, "_code": np.arange(len(participants), dtype=np.int32)})
    author = pl.coalesce("noteAuthorParticipantId", "_author").alias("a")
    codes = joined.select(author).join(code, on="a", how="left", maintain_order="left")["_code"].fill_null(-1)

    def time(name: str) -> Any:  # 0 and -1 say "never" in older histories
        column = joined[name].cast(pl.Float64)
        return column.set(column <= 0, None).fill_null(float("nan")).to_numpy()

    def text(name: str, empty: str = "") -> Any:
        return joined[name].fill_null(empty).replace("", empty).to_numpy()

    created = joined.select(
        pl.when(pl.col("createdAtMillis") > 0).then(pl.col("createdAtMillis")).otherwise(None).alias("h"), "_created"
    ).select(pl.coalesce("h", "_created"))
    from_id = (joined["noteId"].to_numpy() >> 22) + SNOWFLAKE_EPOCH_MILLIS
    created_N = created.to_series().fill_null(float("nan")).to_numpy()
    return Notes(
        id_N=joined["noteId"].to_numpy(),
        author_N=codes.to_numpy(),
        created_N=np.where(np.isnan(created_N), from_id, created_N),
        classification_N=text("classification"),
        not_misleading_N=(joined["classification"] == NOT_MISLEADING).fill_null(False).to_numpy(),
        listed_N=joined["_listed"].fill_null(False).to_numpy(),
        current_status_N=text("currentStatus", NMR),
        first_status_N=text("firstNonNMRStatus"),
        latest_decision_N=time("timestampMillisOfLatestNonNMRStatus"),
        locked_status_N=text("lockedStatus"),
        lock_time_N=time("timestampMillisOfStatusLock"),
        waiting_since_N=joined["timestampMillisOfNmrDueToMinStableCrhTime"].fill_null(float("nan")).to_numpy(),
    )


def _busy_raters(frame: "pl.DataFrame") -> "pl.Series":
    """Raters above the 99.9th percentile of rating counts within the last 7 or 28 days."""
    pl = polars()
    none = pl.Series("raterParticipantId", [], dtype=pl.String)
    if not frame.height or frame["noteId"].n_unique() < FEWEST_NOTES_FOR_MARKS:
        return none
    newest = float(frame["createdAtMillis"].max())  # type: ignore[arg-type]
    found = [none]
    for days in BUSY_DAYS:
        recent = frame.filter(pl.col("createdAtMillis") > newest - days * DAY_MILLIS)
        counts = recent.group_by("raterParticipantId").len()
        most = counts["len"].quantile(BUSY_QUANTILE, "linear")
        found.append(counts.filter(pl.col("len") > most)["raterParticipantId"])
    return pl.concat(found).unique()


def _bits(frame: "pl.DataFrame", tags: tuple[str, ...]) -> np.ndarray:
    pl = polars()
    bits = [pl.col(tag).fill_null(0).cast(pl.UInt16) * (1 << bit) for bit, tag in enumerate(tags)]
    return frame.select(pl.sum_horizontal(bits).cast(pl.UInt16).alias("bits"))["bits"].to_numpy()


def _ratings(frame: "pl.DataFrame", busy: "pl.Series") -> Ratings:
    pl = polars()
    sampled = frame["ratingSourceBucketed"] == POPULATION_SAMPLED
    return Ratings(
        note_R=frame["_note"].cast(pl.Int32).to_numpy(),
        rater_R=frame["_rater"].cast(pl.Int32).to_numpy(),
        answer_R=frame["_answer"].to_numpy(),
        created_R=frame["createdAtMillis"].to_numpy(),
        helpful_tags_R=_bits(frame, HELPFUL_TAGS),
        not_helpful_tags_R=_bits(frame, NOT_HELPFUL_TAGS),
        sampled_R=sampled.fill_null(False).to_numpy(),
        high_volume_R=frame["raterParticipantId"].is_in(busy.implode()).to_numpy(),
        correlated_R=np.zeros(frame.height, bool),
    )


def _without_linked(ratings: Ratings, notes: Notes, participants: Participants, tables: Tables) -> tuple[Ratings, int]:
    """Of each note only a cluster's first rating, and none where its author is a member; cliques are marked."""
    pl = polars()
    code = pl.DataFrame({"raterParticipantId": participants.id_P, "_code": np.arange(len(participants))})
    clusters = tables.clusters.join(code, on="raterParticipantId", how="inner")
    cluster_P, clique_P = np.full(len(participants), -1, np.int64), np.zeros(len(participants), bool)
    linked = clusters.filter(pl.col("postSelectionValue").is_not_null() & ~pl.col("postSelectionValue").is_nan())
    cluster_P[linked["_code"].to_numpy()] = linked["postSelectionValue"].cast(pl.Int64).to_numpy()
    clique_P[clusters.filter(pl.col("quasiCliqueValue") >= 1)["_code"].to_numpy()] = True
    correlated_R = clique_P[ratings.rater_R]
    ratings = Ratings(**{**ratings.__dict__, "correlated_R": correlated_R})
    if int(notes.listed_N.sum()) < FEWEST_NOTES_FOR_MARKS:
        return ratings, 0
    cluster_R = cluster_P[ratings.rater_R]
    author_N = np.where(notes.listed_N, notes.author_N, -1)
    author_R = author_N[ratings.note_R]
    of_author_R = np.where(author_R >= 0, cluster_P[author_R], -1)
    member = np.flatnonzero((cluster_R >= 0) & (cluster_R != of_author_R))
    order = member[np.lexsort((ratings.created_R[member], cluster_R[member], ratings.note_R[member]))]
    pairs = np.stack([ratings.note_R[order], cluster_R[order]])
    first = np.ones(len(order), bool)
    first[1:] = (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)
    kept = cluster_R < 0
    kept[order[first]] = True
    return ratings.where(kept), int((~kept).sum())


def core_members(participants: Participants) -> np.ndarray:
    """Whose ratings the core model uses: members of its groups, and those without an enrolment row.

    A rater who is enrolled but has no group is not a member: the official code asks whether the (missing) group is
    one of the core's, and only a missing row counts as unassigned.
    """
    return np.isin(participants.group_P, CORE_GROUPS) | ~participants.enrolled_P


def core_share(world: World) -> np.ndarray:
    """Share of each note's ratings that come from core members (NaN without ratings), shape N."""
    member_R = core_members(world.participants)[world.ratings.rater_R].astype(np.float64)
    size = len(world.notes)
    total = count_per(world.ratings.note_R, size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return count_per(world.ratings.note_R, size, member_R) / total
