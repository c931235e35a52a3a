"""The official output tables: scored_notes.tsv and helpfulness_scores.tsv, with the official names of what there is."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kolossos.files import whole_file
from kolossos.notes.score.run import Scoring
from kolossos.notes.tables.library import polars
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

if TYPE_CHECKING:
    import polars as pl

SCORED_NOTES, HELPFULNESS_SCORES = "scored_notes.tsv", "helpfulness_scores.tsv"


def _series(values: Any, judged: np.ndarray | None = None) -> "pl.Series":
    """Values as a column: NaN, empty text and notes that the model does not judge are missing."""
    pl = polars()
    column = pl.Series(values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "O" else values)
    if column.dtype.is_float():
        column = column.fill_nan(None)
    if column.dtype == pl.String:
        column = column.replace("", None)
    return column if judged is None else pl.select(pl.when(pl.Series(judged)).then(column).otherwise(None)).to_series()


def scored_notes(scoring: Scoring) -> "pl.DataFrame":
    """One row a note, in order of ids; columns of models that do not exist here are left out."""
    pl = polars()
    core, final, notes = scoring.core, scoring.final, scoring.world.notes
    judged, c = core.judged_N, core.columns
    rules = [",".join(acted) for acted in final.active_rules_N]
    columns: dict[str, Any] = {
        "noteId": pl.Series(notes.id_N),
        "coreNoteIntercept": _series(c["intercept"], judged),
        "coreNoteFactor1": _series(c["factor"], judged),
        "finalRatingStatus": _series(final.status_N),
        "firstTag": _series(final.first_tag_N),
        "secondTag": _series(final.second_tag_N),
        "coreActiveRules": _series(core.verdicts.active_rules(), judged),
        "activeFilterTags": _series(core.verdicts.filter_tags_N, judged),
        "classification": _series(notes.classification_N),
        "createdAtMillis": pl.Series(notes.created_N).cast(pl.Int64),
        "coreRatingStatus": _series(core.verdicts.status_N, judged),
        "metaScorerActiveRules": pl.Series(rules),
        "decidedBy": pl.Series([acted[-1] for acted in final.active_rules_N]),
        "coreNoteInterceptMin": _series(c.get("interceptMin", np.full(len(notes), np.nan)), judged),
        "coreNoteInterceptMax": _series(c.get("interceptMax", np.full(len(notes), np.nan)), judged),
        "numRatings": pl.Series(np.bincount(scoring.world.ratings.note_R, minlength=len(notes))),
        "coreNumFinalRoundRatings": _series(core.notes.ratings_N, judged),
        "timestampMillisOfNmrDueToMinStableCrhTime": _series(final.waiting_since_N),
        "coreNoteInterceptNoHighVol": _series(c["interceptNoHighVol"], judged),
        "coreNoteInterceptNoCorrelated": _series(c["interceptNoCorrelated"], judged),
        "coreNoteInterceptPopulationSampled": _series(c["interceptPopulationSampled"], judged),
        "gaussianNoteIntercept": _series(scoring.gaussian.score_N, judged),
        "gaussianRatingStatus": _series(scoring.gaussian.status_N, judged),
        "gaussianNumFinalRoundRatings": _series(scoring.gaussian.ratings_N, judged),
        "lowDiligenceIntercept": _series(c["lowDiligenceNoteIntercept"], judged),
        "lockedStatus": _series(final.locked_status_N),
    }
    for name in ("minSignCount", "negFactor_meanHelpfulNum", "posFactor_meanHelpfulNum", "netMinHelpful"):
        columns[name] = _series(c[name], judged)
    columns["netMinHelpfulRatio"] = _series(c["netMinHelpfulRatio"], judged)
    for name in ("notHelpfulIncorrect_interval", "num_voters_interval", "tf_idf_incorrect_interval", "ratingWeight"):
        columns[name] = _series(c[name], judged)
    for tag in NOT_HELPFUL_TAGS:
        columns[f"{tag}Adjusted"] = _series(c[f"{tag}Adjusted"], judged)
        columns[f"{tag}AdjustedRatio"] = _series(c[f"{tag}AdjustedRatio"], judged)
    return pl.DataFrame(columns)


def helpfulness_scores(scoring: Scoring) -> "pl.DataFrame":
    """One row a participant with anything to say of: parameters, agreement, what it wrote, whether it is kept."""
    pl = polars()
    pre, people = scoring.prescoring, scoring.world.participants
    h = pre.helpfulness

    def whole(values: np.ndarray) -> "pl.Series":
        return _series(values).cast(pl.Int64)

    table = pl.DataFrame(
        {
            "raterParticipantId": _series(people.id_P),
            "coreRaterIntercept": _series(pre.second.rater_intercept_P),
            "coreRaterFactor1": _series(pre.second.rater_factor_P),
            "crhCrnhRatioDifference": _series(h.crh_crnh_difference_P),
            "meanNoteScore": _series(h.mean_note_score_P),
            "raterAgreeRatio": _series(h.agree_ratio_P),
            "successfulRatingHelpfulCount": whole(h.successful_helpful_P),
            "successfulRatingNotHelpfulCount": whole(h.successful_not_helpful_P),
            "unsuccessfulRatingHelpfulCount": whole(h.unsuccessful_helpful_P),
            "unsuccessfulRatingNotHelpfulCount": whole(h.unsuccessful_not_helpful_P),
            "aboveHelpfulnessThreshold": pl.Series(h.above_threshold_P),
            "modelingGroup": _series(people.group_P),
            "coreFirstRoundRaterIntercept": _series(pre.first.rater_intercept_P),
            "coreFirstRoundRaterFactor1": _series(pre.first.rater_factor_P),
            "totalHelpfulHarassmentPenalty": pl.Series(h.penalty_P),
            "raterAgreeRatioKeyWithHarassmentAbusePenalty": _series(h.agree_ratio_after_penalty_P),
        }
    )
    something = pl.any_horizontal(
        pl.col("raterAgreeRatio", "meanNoteScore", "coreFirstRoundRaterIntercept").is_not_null()
    )
    return table.filter(something)


def write_outputs(scoring: Scoring, folder: Path) -> dict[str, int]:
    """Write both tables into ``folder`` (made where needed), each whole or not at all; returns their rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, table in ((SCORED_NOTES, scored_notes(scoring)), (HELPFULNESS_SCORES, helpfulness_scores(scoring))):
        with whole_file(folder / name) as file:
            table.write_csv(file, separator="\t")
        rows[name] = table.height
    return rows
