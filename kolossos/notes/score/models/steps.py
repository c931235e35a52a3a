"""The bridging model by the official steps instead of to its minimum, for those who want to be near X's statuses.

The official fits begin at an earlier fit and take Adam's steps, full batch, until the loss changes by 1e-7 or, after a
hundred steps, rises: some 1e-5 of loss above the minimum. Where they stop has a direction, and it decides about notes
and raters near a threshold. The same steps from the same kind of start, without random parts and in float64, follow it.
"""

import numpy as np

from kolossos.notes.score.compiled import compiled
from kolossos.notes.score.models.factorisation import FACTOR_RIDGE, INTERCEPT_RIDGE, Fit, sign_of
from kolossos.notes.score.models.logistic import Adam, sum_of_squares

RATE, CONVERGENCE, FEWEST_STEPS = 0.2, 1e-7, 100


def _squares(note, rater, answer, parameters, gradients):
    """Mean squared error, and its gradient added into ``gradients``."""
    mu, note_intercept, note_factor, rater_intercept, rater_factor = parameters
    g_mu, g_note_intercept, g_note_factor, g_rater_intercept, g_rater_factor = gradients
    total = 0.0
    scale = 2.0 / len(note)
    for r in range(len(note)):
        n, u = note[r], rater[r]
        e = mu[0] + rater_intercept[u] + note_intercept[n] + rater_factor[u] * note_factor[n] - answer[r]
        total += e * e
        d = scale * e
        g_mu[0] += d
        g_note_intercept[n] += d
        g_note_factor[n] += d * rater_factor[u]
        g_rater_intercept[u] += d
        g_rater_factor[u] += d * note_factor[n]
    return total / len(note)


_evaluate = compiled(_squares)


class _Objective:
    """The official objective on given ratings; parameters by name."""

    def __init__(self, note: np.ndarray, rater: np.ndarray, answer: np.ndarray, sizes: tuple[int, int]) -> None:
        self._rows = (note.astype(np.int32), rater.astype(np.int32), answer.astype(np.float64))
        notes, raters = sizes
        self._ridges = {
            "mu": INTERCEPT_RIDGE,
            "note_intercept": INTERCEPT_RIDGE / notes,
            "note_factor": FACTOR_RIDGE / notes,
            "rater_intercept": INTERCEPT_RIDGE / raters,
            "rater_factor": FACTOR_RIDGE / raters,
        }

    def __call__(self, parameters: dict[str, np.ndarray]) -> tuple[float, float, dict[str, np.ndarray]]:
        """Loss, mean squared error, gradient."""
        values = tuple(parameters[name] for name in self._ridges)
        gradients = tuple(np.zeros_like(value) for value in values)
        squared = float(_evaluate(*self._rows, values, gradients))
        loss, by_name = squared, {}
        for (name, ridge), value, gradient in zip(self._ridges.items(), values, gradients, strict=True):
            loss += ridge * sum_of_squares(value)
            by_name[name] = gradient + 2.0 * ridge * value
        return loss, squared, by_name


def fit_by_steps(
    note_R: np.ndarray, rater_R: np.ndarray, answer_R: np.ndarray, sizes: tuple[int, int], begun: Fit
) -> Fit:
    """The official steps on the given ratings from the parameters of ``begun``; what is missing there starts at zero.

    Args:
        sizes: how many notes and participants there are in all.
    """
    notes, note = np.unique(note_R, return_inverse=True)
    raters, rater = np.unique(rater_R, return_inverse=True)
    parameters = {
        "mu": np.array([begun.mu]),
        "note_intercept": np.nan_to_num(begun.note_intercept_N[notes]),
        "note_factor": np.nan_to_num(begun.note_factor_N[notes]),
        "rater_intercept": np.nan_to_num(begun.rater_intercept_P[raters]),
        "rater_factor": np.nan_to_num(begun.rater_factor_P[raters]),
    }
    objective, adam = _Objective(note, rater, answer_R, (len(notes), len(raters))), Adam(RATE, clip=True)
    loss, squared, gradients = objective(parameters)
    previous, steps = 1e10, 0
    while abs(loss - previous) > CONVERGENCE and not (steps > FEWEST_STEPS and loss > previous):
        previous = loss
        adam.step(parameters, gradients)
        loss, squared, gradients = objective(parameters)
        steps += 1
    sign = sign_of(parameters["rater_factor"])

    def laid_out(values: np.ndarray, ids: np.ndarray, size: int) -> np.ndarray:
        out = np.full(size, np.nan)
        out[ids] = values
        return out

    return Fit(
        mu=float(parameters["mu"][0]),
        note_intercept_N=laid_out(parameters["note_intercept"], notes, sizes[0]),
        note_factor_N=laid_out(sign * parameters["note_factor"], notes, sizes[0]),
        rater_intercept_P=laid_out(parameters["rater_intercept"], raters, sizes[1]),
        rater_factor_P=laid_out(sign * parameters["rater_factor"], raters, sizes[1]),
        loss=loss,
        mean_squared_error=squared,
        sweeps=steps,
        ratings=len(note_R),
        notes=len(notes),
        raters=len(raters),
    )
