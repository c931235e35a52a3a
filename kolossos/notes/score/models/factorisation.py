"""The bridging model y = mu + i_u + i_n + f_u f_n with the official objective, minimised by alternating closed forms.

Objective (means, as the official code computes it, not the sums of its guide):

    mean (y - prediction)^2 + 0.15 (mu^2 + mean i_u^2 + mean i_n^2) + 0.03 (mean f_u^2 + mean f_n^2)

Times R, with R ratings, N notes and U raters: each note pays 0.15 R/N and 0.03 R/N, each rater 0.15 R/U and 0.03 R/U.
With one side fixed, every note (rater) is a ridge problem in two unknowns with a closed solution; mu is one, too.
Sweeps over both sides lower the loss each time; steps along the last differences (Anderson's mixing, kept only where
it lowers the loss) make them few. Everything is float64 on one thread in a fixed order, so reruns agree to the bit.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.compiled import compiled

INTERCEPT_RIDGE, FACTOR_RIDGE = 0.15, 0.03
TOLERANCE = 1e-7
MOST_SWEEPS = 2000
MEMORY = 6


@dataclass(frozen=True)
class Fit:
    """A minimum: parameters of the notes and raters that have ratings (NaN for others), and how it was reached."""

    mu: float
    note_intercept_N: np.ndarray
    note_factor_N: np.ndarray
    rater_intercept_P: np.ndarray
    rater_factor_P: np.ndarray
    loss: float
    mean_squared_error: float
    sweeps: int
    ratings: int
    notes: int
    raters: int

    @property
    def ratings_per_note(self) -> float:
        """R / N of this fit."""
        return self.ratings / self.notes


@dataclass(frozen=True)
class Start:
    """Where a fit begins; NaN where nothing is known, which begins at zero."""

    mu: float
    rater_intercept_P: np.ndarray
    rater_factor_P: np.ndarray


def _solve_side(rows, own, opposite, mu, ridges):
    """One pass over one side; returns the squared error after it, and the sum of residuals without mu."""
    pointer, other, answers = rows
    intercept, factor = own
    other_intercept, other_factor = opposite
    ridge_i, ridge_f = ridges
    squared = 0.0
    residual = 0.0
    for k in range(len(pointer) - 1):
        first, last = pointer[k], pointer[k + 1]
        s1 = 0.0
        s2 = 0.0
        b0 = 0.0
        b1 = 0.0
        bb = 0.0
        for r in range(first, last):
            f = other_factor[other[r]]
            e = answers[r] - mu - other_intercept[other[r]]
            s1 += f
            s2 += f * f
            b0 += e
            b1 += e * f
            bb += e * e
        count = last - first
        a = count + ridge_i
        d = s2 + ridge_f
        det = a * d - s1 * s1
        i = (d * b0 - s1 * b1) / det
        g = (a * b1 - s1 * b0) / det
        intercept[k] = i
        factor[k] = g
        squared += bb - 2.0 * (i * b0 + g * b1) + i * i * count + 2.0 * i * g * s1 + g * g * s2
        residual += b0 - i * count - g * s1
    return squared, residual


_solve = compiled(_solve_side)


@dataclass(frozen=True)
class _Problem:
    """Ratings of a fit by note and by rater, both in a fixed order; ids are those of this fit alone."""

    note_pointer: np.ndarray
    note_rater: np.ndarray
    note_answer: np.ndarray
    rater_pointer: np.ndarray
    rater_note: np.ndarray
    rater_answer: np.ndarray
    note_ids: np.ndarray
    rater_ids: np.ndarray

    @property
    def ratings(self) -> int:
        return len(self.note_rater)


def _dense(index: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    present = np.zeros(size, bool)
    present[index] = True
    ids = np.flatnonzero(present)
    code = np.full(size, -1, np.int32)
    code[ids] = np.arange(len(ids), dtype=np.int32)
    return ids, code[index]


def _problem(note_R: np.ndarray, rater_R: np.ndarray, answer_R: np.ndarray, n_notes: int, n_raters: int) -> _Problem:
    """Both orders of the ratings; they are sorted by note and rater first, whatever order they come in."""
    note_ids, note = _dense(note_R, n_notes)
    rater_ids, rater = _dense(rater_R, n_raters)
    answers = answer_R.astype(np.float32)
    sorted_already = bool((np.diff(note) >= 0).all())
    by_note = np.arange(len(note)) if sorted_already else np.lexsort((rater, note))
    by_rater = np.argsort(rater[by_note], kind="stable")
    by_rater = by_note[by_rater]
    return _Problem(
        np.concatenate([[0], np.cumsum(np.bincount(note, minlength=len(note_ids)))]),
        rater[by_note],
        answers[by_note],
        np.concatenate([[0], np.cumsum(np.bincount(rater, minlength=len(rater_ids)))]),
        note[by_rater],
        answers[by_rater],
        note_ids,
        rater_ids,
    )


def _scattered(size: int) -> np.ndarray:
    """Start values between -0.1 and 0.1 that depend on the index alone (a multiplicative hash)."""
    hashed = (np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return (hashed.astype(np.float64) / 2.0**24 - 0.5) * 0.2


class _Descent:
    """The state of the alternation. The point is (mu, rater intercepts, rater factors); notes follow from it."""

    def __init__(self, problem: _Problem) -> None:
        self.problem = problem
        self.note_intercept = np.zeros(len(problem.note_ids))
        self.note_factor = np.zeros(len(problem.note_ids))
        self.raters = len(problem.rater_ids)
        ratings = problem.ratings
        per_note, per_rater = ratings / max(len(problem.note_ids), 1), ratings / max(self.raters, 1)
        self._note_ridges = (INTERCEPT_RIDGE * per_note, FACTOR_RIDGE * per_note)
        self._rater_ridges = (INTERCEPT_RIDGE * per_rater, FACTOR_RIDGE * per_rater)

    def sweep(self, point: np.ndarray) -> tuple[np.ndarray, float]:
        """Notes from ``point``, then mu, then raters: the next point, and the loss at ``point`` after its notes."""
        p, raters = self.problem, self.raters
        mu, intercept, factor = float(point[0]), point[1 : 1 + raters], point[1 + raters :]
        squared, residual = _solve(
            (p.note_pointer, p.note_rater, p.note_answer),
            (self.note_intercept, self.note_factor),
            (intercept, factor),
            mu,
            self._note_ridges,
        )
        loss = squared / p.ratings + self.penalty(mu, intercept, factor)
        following = np.empty_like(point)
        following[0] = (residual / p.ratings + mu) / (1.0 + INTERCEPT_RIDGE)
        _solve(
            (p.rater_pointer, p.rater_note, p.rater_answer),
            (following[1 : 1 + raters], following[1 + raters :]),
            (self.note_intercept, self.note_factor),
            float(following[0]),
            self._rater_ridges,
        )
        return following, loss

    def penalty(self, mu: float, intercept: np.ndarray, factor: np.ndarray) -> float:
        """The regularising part of the objective."""
        return INTERCEPT_RIDGE * (
            mu * mu + float(np.mean(intercept * intercept)) + float(np.mean(self.note_intercept**2))
        ) + FACTOR_RIDGE * (float(np.mean(factor * factor)) + float(np.mean(self.note_factor**2)))


def _mixed(points: list[np.ndarray], steps: list[np.ndarray]) -> np.ndarray:
    """Anderson's mixing: the affine combination of the last sweeps whose combined step is smallest."""
    last = steps[-1]
    differences = np.stack([later - earlier for earlier, later in itertools.pairwise(steps)], axis=1)
    moved = np.stack(
        [(b + sb) - (a + sa) for a, b, sa, sb in zip(points[:-1], points[1:], steps[:-1], steps[1:], strict=True)],
        axis=1,
    )
    gram = np.einsum("ki,kj->ij", differences, differences)  # no BLAS: its order of sums depends on threads
    gram += np.eye(len(gram)) * (1e-12 * np.trace(gram))
    weights = np.linalg.solve(gram, np.einsum("ki,k->i", differences, last))
    return points[-1] + last - np.einsum("ki,i->k", moved, weights)


def _descend(descent: _Descent, point: np.ndarray, tolerance: float) -> tuple[np.ndarray, float, int]:
    points: list[np.ndarray] = []
    steps: list[np.ndarray] = []
    lowest = np.inf
    fallback = point
    for sweep in range(1, MOST_SWEEPS + 1):
        following, loss = descent.sweep(point)
        if loss > lowest + 1e-15 and points:  # the mixed point was worse: back to the plain sweep before it
            points, steps, point = [], [], fallback
            lowest = np.inf
            continue
        lowest = loss
        step = following - point
        if float(np.abs(step).max()) < tolerance:
            return following, loss, sweep
        points, steps = [*points, point][-MEMORY:], [*steps, step][-MEMORY:]
        fallback = following
        point = _mixed(points, steps) if len(points) > 1 else following
    return point, lowest, MOST_SWEEPS


def _alternate(descent: _Descent, point: np.ndarray, loss_change: float) -> tuple[np.ndarray, int]:
    """Plain sweeps, without mixing, until one lowers the loss by less than ``loss_change``."""
    before = np.inf
    for sweep in range(1, MOST_SWEEPS + 1):
        following, loss = descent.sweep(point)
        if before - loss < loss_change:
            return point, sweep
        before, point = loss, following
    return point, MOST_SWEEPS


def fit(
    note_R: np.ndarray,
    rater_R: np.ndarray,
    answer_R: np.ndarray,
    sizes: tuple[int, int],
    start: Start | None = None,
    tolerance: float = TOLERANCE,
    loss_change: float | None = None,
) -> Fit:
    """The minimum of the objective over the given ratings.

    Args:
        note_R, rater_R: indices of note and rater of each rating.
        answer_R: answers 0, 0.5, 1.
        sizes: how many notes and participants there are in all.
        start: where to begin; otherwise at small factors that depend on the raters' order alone.
        tolerance: largest change of a parameter in a sweep at which to stop.
        loss_change: take plain sweeps instead, and stop when one lowers the loss by less; for comparison with solvers
            that stop so.

    Raises:
        ValueError: no ratings.
    """
    if not len(note_R):
        raise ValueError("no ratings to fit")
    problem = _problem(note_R, rater_R, answer_R, *sizes)
    descent = _Descent(problem)
    raters = descent.raters
    point = np.zeros(1 + 2 * raters)
    if start is None:
        point[1 + raters :] = _scattered(raters)
    else:
        point[0] = start.mu
        point[1 : 1 + raters] = np.nan_to_num(start.rater_intercept_P[problem.rater_ids])
        point[1 + raters :] = np.nan_to_num(start.rater_factor_P[problem.rater_ids])
    if loss_change is not None:
        point, sweeps = _alternate(descent, point, loss_change)
    else:
        point, _, sweeps = _descend(descent, point, tolerance)
    _, loss = descent.sweep(point)
    return _identified(descent, point, loss, sweeps, sizes)


def sign_of(factor: np.ndarray) -> float:
    """-1 where the factors must change sign so that at least half of the raters' non-zero ones are negative, else 1."""
    nonzero = int((factor != 0).sum())
    return -1.0 if nonzero and int((factor < 0).sum()) / nonzero < 0.5 else 1.0


def _identified(descent: _Descent, point: np.ndarray, loss: float, sweeps: int, sizes: tuple[int, int]) -> Fit:
    """The fit with the sign rule applied: at least half of the raters' non-zero factors are negative."""
    problem, raters = descent.problem, descent.raters
    mu, intercept, factor = float(point[0]), point[1 : 1 + raters], point[1 + raters :]
    sign = sign_of(factor)

    def laid_out(values: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
        out = np.full(size, np.nan)
        out[ids] = values
        return out

    return Fit(
        mu=mu,
        note_intercept_N=laid_out(descent.note_intercept, problem.note_ids, sizes[0]),
        note_factor_N=laid_out(sign * descent.note_factor, problem.note_ids, sizes[0]),
        rater_intercept_P=laid_out(intercept, problem.rater_ids, sizes[1]),
        rater_factor_P=laid_out(sign * factor, problem.rater_ids, sizes[1]),
        loss=loss,
        mean_squared_error=loss - descent.penalty(mu, intercept, factor),
        sweeps=sweeps,
        ratings=problem.ratings,
        notes=len(problem.note_ids),
        raters=raters,
    )
