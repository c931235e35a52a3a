"""The final round as a stream: each rating that comes or goes updates its note's score in constant time.

The sums of a note are kept as whole multiples of 2^-44, so adding is exact and has no order: ratings in any order, some
taken back again, give the same bits. A term is off by at most 2^-45, far below what a threshold could see.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.compiled import compiled
from kolossos.notes.score.final_round import FACTOR_RIDGE, FEWEST_RATINGS, INTERCEPT_RIDGE, RaterParameters

UNIT = 2.0**44


def _stream(ratings, terms, sums, ridges, scores):
    """Apply ratings in order; writes each note's score after each of them."""
    note, rater, answer, sign = ratings
    ridge_i, ridge_f = ridges
    intercepts, factors = scores
    error_base, factor, factor_squared, used = terms
    count, counted, s1, s2, b0, b1 = sums
    unit = 2.0**44
    for r in range(len(note)):
        n, u = note[r], rater[r]
        step = sign[r]
        count[n] += step
        if used[u]:
            e = answer[r] - error_base[u]
            f = factor[u]
            counted[n] += step
            s1[n] += step * np.int64(np.rint(f * unit))
            s2[n] += step * np.int64(np.rint(factor_squared[u] * unit))
            b0[n] += step * np.int64(np.rint(e * unit))
            b1[n] += step * np.int64(np.rint(e * f * unit))
        if count[n] < 5 or counted[n] == 0:
            intercepts[r] = np.nan
            factors[r] = np.nan
            continue
        a = counted[n] + ridge_i
        d = s2[n] / unit + ridge_f
        c = s1[n] / unit
        x = b0[n] / unit
        y = b1[n] / unit
        det = a * d - c * c
        intercepts[r] = (d * x - c * y) / det
        factors[r] = (a * y - c * x) / det


_apply = compiled(_stream)


@dataclass(frozen=True)
class StreamedScores:
    """Score of a rating's note right after that rating, NaN while the note has none; shape R."""

    intercept_R: np.ndarray
    factor_R: np.ndarray


class Stream:
    """Note scores that follow ratings one by one, with raters frozen by prescoring.

    Ratings are those of in-model raters; whether a rater counts is looked up in its parameters.
    """

    def __init__(self, raters: RaterParameters, n_notes: int) -> None:
        factor = np.nan_to_num(raters.factor_P)
        self._terms = (raters.mu + np.nan_to_num(raters.intercept_P), factor, factor * factor, raters.used())
        self._sums = tuple(np.zeros(n_notes, np.int64) for _ in range(6))
        self._ridges = INTERCEPT_RIDGE * raters.ratings_per_note, FACTOR_RIDGE * raters.ratings_per_note

    def apply(
        self, note_R: np.ndarray, rater_R: np.ndarray, answer_R: np.ndarray, added_R: np.ndarray | None = None
    ) -> StreamedScores:
        """Add ratings (or take back those where ``added_R`` is false), in order; returns the score after each."""
        sign = np.ones(len(note_R), np.int64) if added_R is None else np.where(added_R, 1, -1).astype(np.int64)
        intercepts, factors = np.empty(len(note_R)), np.empty(len(note_R))
        indices = note_R.astype(np.int32, copy=False), rater_R.astype(np.int32, copy=False)
        _apply((*indices, answer_R, sign), self._terms, self._sums, self._ridges, (intercepts, factors))
        return StreamedScores(intercepts, factors)

    def add(self, note: int, rater: int, answer: float) -> tuple[float, float]:
        """One more rating; the note's intercept and factor after it."""
        return self._one(note, rater, answer, True)

    def remove(self, note: int, rater: int, answer: float) -> tuple[float, float]:
        """Take back a rating that was added; the note's intercept and factor without it."""
        return self._one(note, rater, answer, False)

    def _one(self, note: int, rater: int, answer: float, added: bool) -> tuple[float, float]:
        scores = self.apply(np.array([note]), np.array([rater]), np.array([answer]), np.array([added]))
        return float(scores.intercept_R[0]), float(scores.factor_R[0])

    def scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Intercepts and factors of all notes as they stand, NaN where a note has none; shape N each."""
        count, counted, s1, s2, b0, b1 = self._sums
        a, d, c = counted + self._ridges[0], s2 / UNIT + self._ridges[1], s1 / UNIT
        x, y = b0 / UNIT, b1 / UNIT
        det = a * d - c * c
        none = (count < FEWEST_RATINGS) | (counted == 0)
        return np.where(none, np.nan, (d * x - c * y) / det), np.where(none, np.nan, (a * y - c * x) / det)
