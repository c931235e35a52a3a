"""The final round: rater and global parameters stand still, so each note is its own ridge problem in two unknowns.

With e = y - mu - i_u, c ratings, s1 = sum f_u, s2 = sum f_u^2, b0 = sum e, b1 = sum e f_u and k ratings a note, the
official objective (mean squared error + 0.15 i_n^2 + 0.03 f_n^2, both divided by the number of notes) has its minimum
where

    (c + 0.15 k) i + s1 f = b0
    s1 i + (s2 + 0.03 k) f = b1

The five sums and the count are all that a note needs, so a rating comes or goes in constant time.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import Ratings, count_per

INTERCEPT_RIDGE, FACTOR_RIDGE = 0.15, 0.03
FEWEST_RATINGS = 5
SAMPLED_RATINGS_PER_NOTE = 10.0


@dataclass(frozen=True)
class RaterParameters:
    """What the final round takes from prescoring, shape P each; NaN for a participant without parameters."""

    intercept_P: np.ndarray
    factor_P: np.ndarray
    helpful_P: np.ndarray
    incorrect_tags_P: np.ndarray
    tagged_ratings_P: np.ndarray
    mu: float
    ratings_per_note: float

    def used(self) -> np.ndarray:
        """Whose ratings count: above the helpfulness threshold and with parameters."""
        return self.helpful_P & ~np.isnan(self.intercept_P)


@dataclass(frozen=True)
class NoteParameters:
    """Intercept and factor of each note, NaN where it has none, and how many ratings they come from; shape N."""

    intercept_N: np.ndarray
    factor_N: np.ndarray
    ratings_N: np.ndarray


def final_ratings(ratings: Ratings, size: int, raters: RaterParameters) -> Ratings:
    """The ratings of the final round: notes with five in-model ratings, then only raters who are used."""
    enough_N = count_per(ratings.note_R, size) >= FEWEST_RATINGS
    return ratings.where(enough_N[ratings.note_R] & raters.used()[ratings.rater_R])


@dataclass(frozen=True)
class Sums:
    """Count and five sums of each note, shape N."""

    count_N: np.ndarray
    s1_N: np.ndarray
    s2_N: np.ndarray
    b0_N: np.ndarray
    b1_N: np.ndarray

    def plus(self, error: float, factor: float) -> "Sums":
        """The sums with one more rating on every note, of residual ``error`` by a rater of ``factor``."""
        return Sums(
            self.count_N + 1,
            self.s1_N + factor,
            self.s2_N + factor * factor,
            self.b0_N + error,
            self.b1_N + error * factor,
        )

    def solve(self, ratings_per_note: float) -> tuple[np.ndarray, np.ndarray]:
        """Intercepts and factors at the minimum."""
        a = self.count_N + INTERCEPT_RIDGE * ratings_per_note
        d = self.s2_N + FACTOR_RIDGE * ratings_per_note
        det = a * d - self.s1_N * self.s1_N
        return (d * self.b0_N - self.s1_N * self.b1_N) / det, (a * self.b1_N - self.s1_N * self.b0_N) / det


def sums_of(ratings: Ratings, size: int, raters: RaterParameters) -> Sums:
    """The sums of each note, added in the order of the ratings."""
    factor_R = raters.factor_P[ratings.rater_R]
    error_R = ratings.answer_R - raters.mu - raters.intercept_P[ratings.rater_R]
    note_R = ratings.note_R
    return Sums(
        count_per(note_R, size),
        count_per(note_R, size, factor_R),
        count_per(note_R, size, factor_R * factor_R),
        count_per(note_R, size, error_R),
        count_per(note_R, size, error_R * factor_R),
    )


def solve_notes(
    ratings: Ratings, size: int, raters: RaterParameters, ratings_per_note: float | None = None
) -> NoteParameters:
    """Parameters of all notes from in-model ``ratings``; a note without a used rating has none.

    Args:
        ratings_per_note: k, by default that of prescoring's last fit.
    """
    used = final_ratings(ratings, size, raters)
    sums = sums_of(used, size, raters)
    intercept_N, factor_N = sums.solve(raters.ratings_per_note if ratings_per_note is None else ratings_per_note)
    none = sums.count_N == 0
    return NoteParameters(
        np.where(none, np.nan, intercept_N), np.where(none, np.nan, factor_N), np.where(none, 0, sums.count_N)
    )


@dataclass(frozen=True)
class Bounds:
    """Lowest and highest intercept over the plain solution and those with one added rating, shape N."""

    lowest_N: np.ndarray
    highest_N: np.ndarray


def pseudo_rater_bounds(ratings: Ratings, size: int, raters: RaterParameters) -> Bounds:
    """How far one more "helpful" rating by an extreme rater could lift each note.

    The extreme rater has the lowest rater intercept in the final round and its lowest factor, factor 0, or its
    highest one. Here k is the number of ratings a note of that very set, the added one included.
    """
    used = final_ratings(ratings, size, raters)
    sums = sums_of(used, size, raters)
    scored = sums.count_N > 0
    if not scored.any():
        nothing = np.full(size, np.nan)
        return Bounds(nothing, nothing.copy())
    present = np.unique(used.rater_R)
    factors = raters.factor_P[present]
    error = 1.0 - raters.mu - float(raters.intercept_P[present].min())
    ratings_per_note = len(used) / int(scored.sum())
    solutions = [sums.solve(ratings_per_note)[0]]
    for factor in (float(factors.min()), 0.0, float(factors.max())):
        solutions.append(sums.plus(error, factor).solve(ratings_per_note + 1.0)[0])
    stacked = np.stack(solutions)
    return Bounds(
        np.where(scored, stacked.min(axis=0), np.nan),
        np.where(scored, stacked.max(axis=0), np.nan),
    )
