"""A second opinion: helpfulness smoothed along the spectrum of raters, its geometric mean scored.

At each of 50 points (25 quantiles of the factors on either side of zero) the answers are averaged with a Gaussian of
width 0.1 around the point, "not helpful" counted 1.75 times and more where raters from unexpected places agree on it,
and drawn towards a prior. A note that is weak at any point of the spectrum has a low geometric mean; Helpful from
0.51.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import CRH, NMR, Ratings, World, count_per
from kolossos.notes.score.final_round import RaterParameters, final_ratings
from kolossos.notes.score.judge import in_model

POINTS_EACH_SIDE = 25
BANDWIDTH, SOMEWHAT, NOT_HELPFUL_WEIGHT = 0.1, 0.7, 1.75
PRIOR_WEIGHT, PRIOR_VALUE, LOWEST_PRIOR, FEW_PRIOR, PRIOR_BASE = 0.4, 0.35, 0.2, 0.1, 9.0
LOWEST, HIGHEST, LEAST_WEIGHT = 0.05, 0.8, 1e-9
EXPECTED_WIDTH, STEEPNESS, UNEXPECTED_TIMES, UNEXPECTED_MOST = 0.28, 200.0, 3.0, 2.0
HELPFUL_FROM, FEWEST_RATINGS, FEWEST_ON_A_SIDE = 0.51, 5, 3


@dataclass(frozen=True)
class GaussianScores:
    """Score and status by score alone, NaN and undecided where a note has too few ratings; shape N."""

    score_N: np.ndarray
    status_N: np.ndarray
    ratings_N: np.ndarray


def spectrum_points(factors: np.ndarray) -> np.ndarray:
    """The points of the spectrum: 25 quantiles of the negative factors and 25 of the others."""
    quantiles = np.linspace(0.001, 0.999, POINTS_EACH_SIDE)
    sides = [factors[factors < 0], factors[factors >= 0]]
    return np.concatenate([np.quantile(side, quantiles) for side in sides if len(side)])


def _author_ratings(world: World, used: Ratings, raters: RaterParameters) -> tuple[np.ndarray, np.ndarray]:
    """Note and factor of one helpful rating by each author with a factor who has not rated the note."""
    size = len(world.participants)
    notes = np.unique(used.note_R)
    author = world.notes.author_N[notes]
    notes, author = notes[author >= 0], author[author >= 0]
    rated = np.isin(notes.astype(np.int64) * size + author, used.note_R.astype(np.int64) * size + used.rater_R)
    known = ~np.isnan(raters.factor_P[author]) & ~rated
    return notes[known], raters.factor_P[author[known]]


def gaussian_scores(world: World, raters: RaterParameters) -> GaussianScores:
    """Score every note from the final round's ratings and its author's own (taken as helpful)."""
    size = len(world.notes)
    model = in_model(world)
    used = final_ratings(model, size, raters)
    score = np.full(size, np.nan)
    if len(used):
        own_note, own_factor = _author_ratings(world, used, raters)
        note_R = np.concatenate([used.note_R, own_note]).astype(np.int64)
        factor_R = np.concatenate([raters.factor_P[used.rater_R], own_factor])
        answer_R = np.concatenate([used.answer_R, np.ones(len(own_note))])
        points = spectrum_points(raters.factor_P[np.unique(used.rater_R)])
        score = _geometric_mean(note_R, factor_R, answer_R, points, size)
    enough = count_per(model.note_R, size) >= FEWEST_RATINGS
    with np.errstate(invalid="ignore"):
        helpful = enough & (score >= HELPFUL_FROM) & ~world.notes.not_misleading_N
    status = np.where(helpful, CRH, NMR).astype(object)
    return GaussianScores(score, status, count_per(used.note_R, size))


def _kernel(factor_R: np.ndarray, point: float) -> np.ndarray:
    return np.exp(-0.5 * ((factor_R - point) / BANDWIDTH) ** 2)


def _unexpected(note_R: np.ndarray, factor_R: np.ndarray, against_R: np.ndarray, size: int) -> np.ndarray:
    """How much more "not helpful" counts on each note: raters far from the mean of those who say so, per rating."""
    count = count_per(note_R, size)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = count_per(note_R[against_R], size, factor_R[against_R]) / count_per(note_R[against_R], size)
        distance = np.abs(factor_R[against_R] - mean[note_R[against_R]])
        far = 1.0 / (1.0 + np.exp(-STEEPNESS * (distance - EXPECTED_WIDTH / 2)))
        share = count_per(note_R[against_R], size, far) / count
    return np.minimum(np.nan_to_num(share) * UNEXPECTED_TIMES + 1.0, UNEXPECTED_MOST)


def _geometric_mean(
    note_R: np.ndarray, factor_R: np.ndarray, answer_R: np.ndarray, points: np.ndarray, size: int
) -> np.ndarray:
    count = count_per(note_R, size)
    present = count > 0
    against_R = answer_R == 0.0
    value_R = np.where(answer_R == 0.5, SOMEWHAT, answer_R)
    times_R = np.where(against_R, NOT_HELPFUL_WEIGHT * _unexpected(note_R, factor_R, against_R, size)[note_R], 1.0)
    total_R = np.zeros(len(factor_R))
    for point in points:  # one kernel at a time: fifty of them would be most of the memory of a run
        total_R += _kernel(factor_R, point)
    with np.errstate(invalid="ignore", divide="ignore"):
        leaning = count_per(note_R, size, (answer_R - 0.5) * 2.0 * factor_R) / count
        few = (count_per(note_R[factor_R < 0], size) < FEWEST_ON_A_SIDE) | (
            count_per(note_R[factor_R > 0], size) < FEWEST_ON_A_SIDE
        )
    prior_weight = np.log(np.maximum(count, PRIOR_BASE)) / np.log(PRIOR_BASE) * PRIOR_WEIGHT
    logarithms, blind = np.zeros(size), np.zeros(size, bool)
    for point in points:
        with np.errstate(invalid="ignore", divide="ignore"):
            weight_R = np.where(total_R > 0, _kernel(factor_R, point) / total_R, 0.0)
        blind |= count_per(note_R, size, weight_R) < LEAST_WEIGHT
        weight_R = weight_R * times_R
        prior = np.clip(leaning * point / 2 + PRIOR_VALUE, LOWEST_PRIOR, PRIOR_VALUE)
        prior = np.where(few, FEW_PRIOR, prior)
        mean = (count_per(note_R, size, weight_R * value_R) + prior * prior_weight) / (
            count_per(note_R, size, weight_R) + prior_weight
        )
        logarithms += np.log(np.clip(mean, LOWEST, HIGHEST))
    score = np.exp(logarithms / len(points))
    return np.where(present, np.where(blind, 0.0, score), np.nan)
