"""What the rules look at, for every note: counts by side of the spectrum, weighted tag shares, the incorrect score.

Raters here are those of the final round; ratings are all in-model ratings, the ones of short notes included.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import Ratings, count_per
from kolossos.notes.score.final_round import NoteParameters, RaterParameters
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

NEAR_PERCENTILE, NEAR_POWER = 40.0, 5
CLIP, NEAR_WIDTH = 0.4, 0.3
INCORRECT = NOT_HELPFUL_TAGS.index("notHelpfulIncorrect")


@dataclass(frozen=True)
class Sides:
    """Answers by the sign of the rater's factor (zero counts as positive), shape N.

    Means and shares are float32, as in the official outputs: the rules compare them with 0.4 and 0.3, which small
    counts hit exactly, and (0.2 + 0.4) / 2 is above 0.3 in float64.
    """

    fewest_raters_N: np.ndarray
    negative_mean_N: np.ndarray
    positive_mean_N: np.ndarray
    net_helpful_N: np.ndarray
    net_helpful_share_N: np.ndarray
    sampled_negative_N: np.ndarray
    sampled_positive_N: np.ndarray


def sides(ratings: Ratings, size: int, factor_P: np.ndarray, counted_P: np.ndarray) -> Sides:
    """Counts, means and net helpful answers of both sides.

    Args:
        factor_P: rater factors.
        counted_P: which participants count as raters with a factor.
    """
    counted = ratings.where(counted_P[ratings.rater_R])
    negative_R = factor_P[counted.rater_R] < 0
    both = []
    for side_R in (negative_R, ~negative_R):
        note_R, answer_R = counted.note_R[side_R], counted.answer_R[side_R]
        number = count_per(note_R, size)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = count_per(note_R, size, answer_R) / number
        net = count_per(note_R, size, (answer_R == 1.0).astype(np.float64) - (answer_R == 0.0))
        sampled = count_per(note_R[counted.sampled_R[side_R]], size)
        both.append((number, mean, net, sampled))
    (n_neg, mean_neg, net_neg, sampled_neg), (n_pos, mean_pos, net_pos, sampled_pos) = both
    net = np.maximum(np.minimum(net_neg, net_pos), 0.0)
    total = n_neg + n_pos
    return Sides(
        fewest_raters_N=np.minimum(n_neg, n_pos),
        negative_mean_N=mean_neg.astype(np.float32),
        positive_mean_N=mean_pos.astype(np.float32),
        net_helpful_N=net,
        net_helpful_share_N=(net / np.maximum(total, 1)).astype(np.float32),
        sampled_negative_N=sampled_neg,
        sampled_positive_N=sampled_pos,
    )


@dataclass(frozen=True)
class TagTotals:
    """Weights and weighted not-helpful tags of each note: shapes N, (N, 13), (N, 13); NaN without parameters."""

    weight_N: np.ndarray
    total_NT: np.ndarray
    share_NT: np.ndarray


def _standardised(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    spread = float(values[used].std())
    with np.errstate(invalid="ignore", divide="ignore"):
        return (values - float(values[used].mean())) / spread


def tag_totals(
    ratings: Ratings, note_factor_N: np.ndarray, rater_factor_P: np.ndarray, counted_P: np.ndarray
) -> TagTotals:
    """Not-helpful tags of each note, each weighted by how near its rater is to the note.

    Factors of notes and raters are standardised apart; a rating at distance d weighs 1 / (1 + (d / p40)^5), where p40
    is the 40th percentile of all distances.
    """
    size = len(note_factor_N)
    scored_N = ~np.isnan(note_factor_N)
    nothing = np.full((size, len(NOT_HELPFUL_TAGS)), np.nan)
    if not scored_N.any() or not counted_P.any():
        return TagTotals(np.full(size, np.nan), nothing, nothing)
    near = ratings.where(scored_N[ratings.note_R] & counted_P[ratings.rater_R])
    note_factor, rater_factor = _standardised(note_factor_N, scored_N), _standardised(rater_factor_P, counted_P)
    distance_R = np.abs(rater_factor[near.rater_R] - note_factor[near.note_R])
    scale = float(np.nanpercentile(distance_R, NEAR_PERCENTILE)) if len(distance_R) else np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        weight_R = 1.0 / (1.0 + (distance_R / scale) ** NEAR_POWER)
        weight_N = count_per(near.note_R, size, weight_R)
        total_NT = np.stack(
            [
                count_per(near.note_R, size, weight_R * near.tagged(bit).astype(np.float64))
                for bit in range(len(NOT_HELPFUL_TAGS))
            ],
            axis=1,
        )
        share_NT = total_NT / weight_N[:, None]
    total_NT[~scored_N] = np.nan
    return TagTotals(np.where(scored_N, weight_N, np.nan), total_NT, share_NT)


@dataclass(frozen=True)
class IncorrectScore:
    """Of raters near a note who gave it a not-helpful tag: how many said incorrect, how many they are, the score."""

    tags_N: np.ndarray
    raters_N: np.ndarray
    score_N: np.ndarray


def incorrect_score(
    ratings: Ratings, notes: NoteParameters, raters: RaterParameters, counted_P: np.ndarray
) -> IncorrectScore:
    """Incorrect tags near the note against those raters' own habit of using the tag; NaN where nobody is near."""
    size = len(notes.factor_N)
    chosen = (ratings.not_helpful_tags_R > 0) & counted_P[ratings.rater_R] & ~np.isnan(notes.factor_N)[ratings.note_R]
    tagged = ratings.where(chosen)
    rater_factor = np.clip(raters.factor_P[tagged.rater_R], -CLIP, CLIP)
    near = tagged.where(np.abs(rater_factor - np.clip(notes.factor_N[tagged.note_R], -CLIP, CLIP)) < NEAR_WIDTH)
    with np.errstate(invalid="ignore", divide="ignore"):
        habit_P = np.nan_to_num(raters.incorrect_tags_P / raters.tagged_ratings_P)
        number = count_per(near.note_R, size)
        said = count_per(near.note_R, size, near.tagged(INCORRECT).astype(np.float64))
        score = said / np.log1p(count_per(near.note_R, size, habit_P[near.rater_R]))
    none = number == 0
    return IncorrectScore(np.where(none, np.nan, said), np.where(none, np.nan, number), np.where(none, np.nan, score))


def incorrect_habit(ratings: Ratings, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each participant: its ratings tagged incorrect, and its ratings with any not-helpful tag; shape P each."""
    tagged = ratings.where(ratings.not_helpful_tags_R > 0)
    said = count_per(tagged.rater_R, size, tagged.tagged(INCORRECT).astype(np.float64))
    return said, count_per(tagged.rater_R, size).astype(np.float64)
