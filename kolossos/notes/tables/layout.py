"""A synthetic world laid out as the public tables, all columns in the official order."""

from typing import TYPE_CHECKING, Any

import numpy as np

from kolossos.notes.tables.library import polars
from kolossos.notes.tables.schema import HELPFUL_TAGS, MISLEADING, NOT_HELPFUL_TAGS, NOT_MISLEADING
from kolossos.notes.tables.world import Synthetic

if TYPE_CHECKING:
    import polars as pl

FLAGS = (
    "misleadingOther",
    "misleadingFactualError",
    "misleadingManipulatedMedia",
    "misleadingOutdatedInformation",
    "misleadingMissingImportantContext",
    "misleadingUnverifiedClaimAsFact",
    "misleadingSatire",
    "notMisleadingOther",
    "notMisleadingFactuallyCorrect",
    "notMisleadingOutdatedButNotWhenWritten",
    "notMisleadingClearlySatire",
    "notMisleadingPersonalOpinion",
)
CRH, CRNH, NMR = "CURRENTLY_RATED_HELPFUL", "CURRENTLY_RATED_NOT_HELPFUL", "NEEDS_MORE_RATINGS"
LOCK_MILLIS = 14 * 86_400_000
SUBJECTS = ("The chart", "This quote", "The picture", "The figure for May", "The law named here", "This video")
FAULTS = (
    "is from another year",
    "leaves out the second half",
    "was made for a film",
    "counts people twice",
    "was never passed",
    "shows a different town",
)


def _text(values: np.ndarray, empty: np.ndarray | None = None) -> "pl.Series":
    """A text column, also where every cell is empty; cells at ``empty`` are."""
    pl = polars()
    cells = values.tolist()
    if empty is not None:
        cells = [None if nothing else cell for cell, nothing in zip(cells, empty, strict=True)]
    return pl.Series(cells, dtype=pl.String)


def _written(world: Synthetic) -> np.ndarray:
    return np.flatnonzero(~world.notes.deleted_N)


def _summary(note: int) -> str:
    subject, fault = SUBJECTS[note % len(SUBJECTS)], FAULTS[note // 7 % len(FAULTS)]
    return f"{subject} {fault}. Source: https://example.org/{note % 997}"


def notes_table(world: Synthetic) -> "pl.DataFrame":
    """The notes that were not deleted, 24 columns."""
    pl = polars()
    notes, kept = world.notes, _written(world)
    misleading = ~notes.not_misleading_N[kept]
    columns: dict[str, Any] = {
        "noteId": notes.id_N[kept],
        "noteAuthorParticipantId": _text(world.people.id_P[notes.author_N[kept]]),
        "createdAtMillis": notes.created_N[kept],
        "tweetId": notes.post_N[kept],
        "classification": _text(np.where(misleading, MISLEADING, NOT_MISLEADING)),
        "believable": [None] * len(kept),
        "harmful": [None] * len(kept),
        "validationDifficulty": [None] * len(kept),
    }
    for k, flag in enumerate(FLAGS):
        of_form = misleading if flag.startswith("misleading") else ~misleading
        columns[flag] = (of_form & ((notes.id_N[kept] >> k) % 3 == 0)).astype(np.int8)
    columns["trustworthySources"] = (notes.quality_N[kept] > -0.1).astype(np.int8)
    columns["summary"] = [_summary(int(i)) for i in notes.id_N[kept]]
    columns["isMediaNote"] = np.zeros(len(kept), np.int8)
    columns["isCollaborativeNote"] = np.zeros(len(kept), np.int8)
    return pl.DataFrame(columns)


def ratings_table(world: Synthetic) -> "pl.DataFrame":
    """All ratings with their dirt, in the order of time, 35 columns."""
    pl = polars()
    a, dirt, ids = world.answers, world.dirt, world.people.id_P
    level = np.where(a.answer_R == 1.0, "HELPFUL", np.where(a.answer_R == 0.5, "SOMEWHAT_HELPFUL", "NOT_HELPFUL"))
    level = level.astype(object)
    level[dirt.unanswered] = None
    zero = np.zeros(len(a.note_R), np.int8)
    columns: dict[str, Any] = {
        "noteId": world.notes.id_N[a.note_R],
        "raterParticipantId": _text(ids[a.rater_R]),
        "createdAtMillis": a.created_R,
        "version": zero + 2,
        "agree": zero,
        "disagree": zero,
        "helpful": zero,
        "notHelpful": zero,
        "helpfulnessLevel": _text(level),
    }
    for k, tag in enumerate(HELPFUL_TAGS):
        columns[tag] = a.helpful_tags_RT[:, k].astype(np.int8)
    for k, tag in enumerate(NOT_HELPFUL_TAGS):
        columns[tag] = a.not_helpful_tags_RT[:, k].astype(np.int8)
    columns["ratedOnTweetId"] = world.notes.post_N[a.note_R]
    columns["ratingSourceBucketed"] = _text(np.where(a.sampled_R, "POPULATION_SAMPLED", "DEFAULT"))
    columns["suggestion"] = pl.Series([None] * len(a.note_R), dtype=pl.String)
    columns["suggestionId"] = pl.Series([None] * len(a.note_R), dtype=pl.Int64)
    table = pl.DataFrame(columns)
    unknown = table[: len(dirt.unknown_note)].with_columns(
        pl.Series("noteId", dirt.unknown_note[: table.height]),
        _text(ids[dirt.unknown_rater[: table.height]]).alias("raterParticipantId"),
        pl.Series("createdAtMillis", dirt.unknown_time[: table.height]),
    )
    whole = pl.concat([table, table[dirt.repeated.tolist()], unknown])
    return whole.sort("createdAtMillis", "noteId", "raterParticipantId", maintain_order=True)


def history_table(world: Synthetic) -> "pl.DataFrame":
    """An earlier path of statuses, made up from hidden quality: 24 columns, deleted notes included."""
    pl = polars()
    notes, n = world.notes, len(world.notes.id_N)
    status, decided = _made_up(world)
    none = np.full(n, np.nan)
    newest = float(world.answers.created_R.max()) if len(world.answers.created_R) else float(notes.created_N.max())
    old = newest - notes.created_N > LOCK_MILLIS
    decided_text = _text(status, status == NMR)
    never = pl.Series([None] * n, dtype=pl.String)
    return pl.DataFrame(
        {
            "noteId": notes.id_N,
            "noteAuthorParticipantId": _text(world.people.id_P[notes.author_N]),
            "createdAtMillis": notes.created_N,
            "timestampMillisOfFirstNonNMRStatus": decided,
            "firstNonNMRStatus": decided_text,
            "timestampMillisOfCurrentStatus": np.full(n, newest),
            "currentStatus": _text(status),
            "timestampMillisOfLatestNonNMRStatus": decided,
            "mostRecentNonNMRStatus": decided_text,
            "timestampMillisOfStatusLock": np.where(old, notes.created_N + LOCK_MILLIS, np.nan),
            "lockedStatus": _text(status, ~old),
            "timestampMillisOfRetroLock": none,
            "currentCoreStatus": _text(status),
            "currentExpansionStatus": never,
            "currentGroupStatus": never,
            "currentDecidedBy": ["CoreModel (v1.1)"] * n,
            "currentModelingGroup": none,
            "timestampMillisOfMostRecentStatusChange": np.where(np.isnan(decided), -1.0, decided),
            "timestampMillisOfNmrDueToMinStableCrhTime": np.where(status == CRH, -1.0, np.nan),
            "currentMultiGroupStatus": never,
            "currentModelingMultiGroup": none,
            "timestampMinuteOfFinalScoringOutput": np.full(n, newest // 60_000),
            "timestampMillisOfFirstNmrDueToMinStableCrhTime": none,
            "abovePcrhThresholdTime": none,
        },
        nan_to_null=True,
    )


def _made_up(world: Synthetic) -> tuple[np.ndarray, np.ndarray]:
    """Status and the time of its decision (NaN while undecided) for each note."""
    notes, a = world.notes, world.answers
    order = np.lexsort((a.created_R, a.note_R))
    note, created = a.note_R[order], a.created_R[order]
    starts = np.searchsorted(note, np.arange(len(notes.id_N)))
    counts = np.bincount(note, minlength=len(notes.id_N))
    needed = 5 + notes.id_N % 7
    decided = np.full(len(notes.id_N), np.nan)
    enough = counts >= needed
    decided[enough] = created[(starts + needed - 1)[enough]] if len(created) else np.nan
    good = notes.quality_N - 0.3 * np.abs(notes.factor_N)
    crh = enough & (good > 0.12) & ~notes.not_misleading_N
    crnh = enough & (good < -0.32)
    decided[~(crh | crnh)] = np.nan
    return np.where(crh, CRH, np.where(crnh, CRNH, NMR)).astype(object), decided


def enrollment_table(world: Synthetic) -> "pl.DataFrame":
    """People with an enrolment row, 8 columns."""
    pl = polars()
    people = world.people
    kept = np.flatnonzero(people.enrolled_P)
    number = len(kept)
    return pl.DataFrame(
        {
            "participantId": _text(people.id_P[kept]),
            "enrollmentState": ["earnedIn"] * number,
            "successfulRatingNeededToEarnIn": np.full(number, 5),
            "timestampOfLastStateChange": np.full(number, 1_700_000_000_000),
            "timestampOfLastEarnOut": np.full(number, 1.0),
            "modelingPopulation": ["CORE"] * number,
            "modelingGroup": people.group_P[kept],
            "numberOfTimesEarnedOut": np.zeros(number, np.int64),
        },
        nan_to_null=True,
    )


def truth_tables(world: Synthetic) -> dict[str, "pl.DataFrame"]:
    """The hidden values of notes and people."""
    pl = polars()
    notes, people = world.notes, world.people
    return {
        "truth_notes": pl.DataFrame(
            {
                "noteId": notes.id_N,
                "quality": notes.quality_N,
                "factor": notes.factor_N,
                "abusive": notes.abusive_N,
                "hiddenError": notes.hidden_error_N,
                "deleted": notes.deleted_N,
            }
        ),
        "truth_raters": pl.DataFrame(
            {
                "raterParticipantId": _text(people.id_P),
                "factor": people.factor_P,
                "intercept": people.intercept_P,
                "noise": people.noise_P,
                "ring": people.ring_P,
            }
        ),
    }
