"""From parameters to statuses: the evidence of each note gathered into the columns that the rules compare."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import CRH, Ratings, World, count_per
from kolossos.notes.score.evidence import Sides, incorrect_score, sides, tag_totals
from kolossos.notes.score.final_round import (
    SAMPLED_RATINGS_PER_NOTE,
    NoteParameters,
    RaterParameters,
    final_ratings,
    pseudo_rater_bounds,
    solve_notes,
)
from kolossos.notes.score.prepare import core_members, core_share
from kolossos.notes.score.rules import Verdicts, apply_rules, core_rules, derived
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

CAPTURE_SHARE = 0.5


@dataclass(frozen=True)
class CoreScores:
    """The core model's answer about every note, shape N; ``judged_N`` are those it may speak about."""

    notes: NoteParameters
    columns: dict[str, np.ndarray]
    verdicts: Verdicts
    judged_N: np.ndarray


def in_model(world: World) -> Ratings:
    """The ratings of the core model's raters."""
    return world.ratings.where(core_members(world.participants)[world.ratings.rater_R])


def context_columns(world: World, ratings: Ratings) -> dict[str, np.ndarray]:
    """What the rules need of each note beside its parameters: numbers of ratings, its form, its status before."""
    return {
        "numRatings": count_per(ratings.note_R, len(world.notes)),
        "notMisleading": world.notes.not_misleading_N.astype(np.float64),
        "wasCRH": (world.notes.current_status_N == CRH).astype(np.float64),
    }


def _side_columns(found: Sides) -> dict[str, np.ndarray]:
    return {
        "minSignCount": found.fewest_raters_N,
        "negFactor_meanHelpfulNum": found.negative_mean_N,
        "posFactor_meanHelpfulNum": found.positive_mean_N,
        "netMinHelpful": found.net_helpful_N,
        "netMinHelpfulRatio": found.net_helpful_share_N,
        "negFactor_populationSampledRatingCount": found.sampled_negative_N,
        "posFactor_populationSampledRatingCount": found.sampled_positive_N,
    }


def evidence_columns(
    world: World, ratings: Ratings, notes: NoteParameters, raters: RaterParameters
) -> dict[str, np.ndarray]:
    """Sides, tags and incorrect scores around given note parameters, by the raters of the final round."""
    size = len(world.notes)
    counted_P = np.zeros(len(world.participants), bool)
    counted_P[final_ratings(ratings, size, raters).rater_R] = True
    columns = _side_columns(sides(ratings, size, raters.factor_P, counted_P))
    tags = tag_totals(ratings, notes.factor_N, raters.factor_P, counted_P)
    columns["ratingWeight"] = tags.weight_N
    for bit, tag in enumerate(NOT_HELPFUL_TAGS):
        columns[f"{tag}Adjusted"] = tags.total_NT[:, bit]
        columns[f"{tag}AdjustedRatio"] = tags.share_NT[:, bit]
    incorrect = incorrect_score(ratings, notes, raters, counted_P)
    columns["notHelpfulIncorrect_interval"] = incorrect.tags_N
    columns["num_voters_interval"] = incorrect.raters_N
    columns["tf_idf_incorrect_interval"] = incorrect.score_N
    return columns


def refit_columns(ratings: Ratings, size: int, raters: RaterParameters) -> dict[str, np.ndarray]:
    """Intercepts without busy raters, without correlated ones, and from population-sampled ratings only."""
    sampled = solve_notes(ratings.where(ratings.sampled_R), size, raters, SAMPLED_RATINGS_PER_NOTE)
    return {
        "interceptNoHighVol": solve_notes(ratings.where(~ratings.high_volume_R), size, raters).intercept_N,
        "interceptNoCorrelated": solve_notes(ratings.where(~ratings.correlated_R), size, raters).intercept_N,
        "interceptPopulationSampled": sampled.intercept_N,
    }


def judge(
    world: World,
    raters: RaterParameters,
    tag_thresholds: Mapping[str, float],
    diligence_N: np.ndarray,
    pseudo_raters: bool = False,
) -> CoreScores:
    """The final round and the rules, given prescoring's rater parameters, tag thresholds and diligence scores.

    Args:
        diligence_N: low-diligence intercept of each note, NaN where unknown.
        pseudo_raters: also bound each intercept by added ratings (rule UcbCRNH).
    """
    ratings, size = in_model(world), len(world.notes)
    notes = solve_notes(ratings, size, raters)
    columns = context_columns(world, ratings)
    columns |= {"intercept": notes.intercept_N, "factor": notes.factor_N, "lowDiligenceNoteIntercept": diligence_N}
    columns |= evidence_columns(world, ratings, notes, raters)
    columns |= refit_columns(ratings, size, raters)
    if pseudo_raters:
        bounds = pseudo_rater_bounds(ratings, size, raters)
        columns |= {"interceptMin": bounds.lowest_N, "interceptMax": bounds.highest_N}
    columns = derived(columns)
    verdicts = apply_rules(core_rules(tag_thresholds, pseudo_raters), columns)
    return CoreScores(notes, columns, verdicts, core_share(world) >= CAPTURE_SHARE)
