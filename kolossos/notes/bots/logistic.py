"""Logistic regression with a ridge, solved by Newton's method: small, exact, the same bits on every run.

    minimise  sum_i w_i log(1 + exp(-s_i (a + x_i b)))  +  penalty / 2 * |b|^2     (s_i = +1 or -1, x standardised)

The intercept a is not penalised. The penalty is chosen by forward chaining: fitted on earlier rows, judged on later
ones, never the other way round. A model may be a correction of another's log odds, which then take the place of a.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

PENALTIES = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)
MOST_STEPS = 60
CLIP = 1e-4  # of probabilities, in log losses
FOLDS = 4


@dataclass(frozen=True)
class Logistic:
    """A fitted model on columns that it standardises itself; where it corrects another, that one's log odds are added
    by who asks."""

    mean_K: np.ndarray
    scale_K: np.ndarray
    weights_K: np.ndarray
    intercept: float
    penalty: float

    def log_odds(self, x_EK: np.ndarray) -> np.ndarray:
        """Log odds of each row; shape E."""
        return ((x_EK - self.mean_K) / self.scale_K) @ self.weights_K + self.intercept


@dataclass(frozen=True)
class Chained:
    """A model with the penalty that forecast later rows best from earlier ones.

    ``chained_E``: those forecasts (log odds; NaN for the first rows, which nothing comes before). ``base_CE``: for each
    cut, the log odds of all rows by the fit on the rows before it; the last by the fit on all.
    """

    model: Logistic
    chained_E: np.ndarray
    base_CE: np.ndarray


def fit(
    x_EK: np.ndarray,
    y_E: np.ndarray,
    penalty: float,
    offset_E: np.ndarray | None = None,
    *,
    standardise: bool = True,
    start: Logistic | None = None,
) -> Logistic:
    """The minimum for one penalty; columns that do not vary get no weight. ``offset_E``: log odds to be corrected.
    ``start``: a fit of the same rows with another penalty, to begin from."""
    mean, scale = x_EK.mean(0), x_EK.std(0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    if not standardise:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    offset = np.zeros(len(y_E)) if offset_E is None else offset_E
    z = np.column_stack([(x_EK - mean) / scale, np.ones(len(x_EK))])
    ridge = np.full(z.shape[1], penalty)
    ridge[-1] = 1e-6
    beta = np.zeros(z.shape[1])
    if start is not None:
        beta = np.append(start.weights_K, start.intercept)
    elif offset_E is None:
        share = np.clip(y_E.mean(), 1e-3, 1 - 1e-3)
        beta[-1] = np.log(share / (1 - share))
    objective = _objective(z, y_E, offset, beta, ridge)
    for _ in range(MOST_STEPS):
        p = probability(z @ beta + offset)
        gradient = z.T @ (p - y_E) + ridge * beta
        hessian = (z * (p * (1 - p))[:, None]).T @ z + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (lower := _objective(z, y_E, offset, beta - size * step, ridge)) > objective and size > 1e-4:
            size /= 2
        if lower > objective:
            break  # no step is better: rounding is all that is left
        done = objective - lower < 1e-9 * max(abs(objective), 1.0)
        beta, objective = beta - size * step, lower
        if done:
            break
    return Logistic(mean, scale, beta[:-1], float(beta[-1]), penalty)


def _objective(z: np.ndarray, y: np.ndarray, offset: np.ndarray, beta: np.ndarray, ridge: np.ndarray) -> float:
    t = z @ beta + offset
    return float(np.sum(np.logaddexp(0, t) - y * t) + 0.5 * np.sum(ridge * beta * beta))


def fit_chosen(
    x_EK: np.ndarray,
    y_E: np.ndarray,
    at_E: np.ndarray,
    *,
    base_CE: np.ndarray | None = None,
    penalties: Sequence[float] = PENALTIES,
    standardise: bool = True,
) -> Chained:
    """Choose the penalty by mean log loss over forward chaining, then fit on all rows.

    Args:
        at_E: the time of each row's note, so that all rows of a note lie on one side of a cut.
        base_CE: `Chained.base_CE` of a model to be corrected: a strong penalty then leaves that model as it is.
    """
    cuts = [*_cuts(at_E), (np.ones(len(y_E), bool), np.zeros(len(y_E), bool))]
    none = np.zeros((len(cuts), len(y_E)))
    offsets = none if base_CE is None else base_CE
    chained = [np.full(len(y_E), np.nan) for _ in penalties]
    fitted: list[list[np.ndarray]] = [[] for _ in penalties]
    for c, (before, later) in enumerate(cuts[:-1]):
        model = None
        for i, penalty in reversed(list(enumerate(penalties))):  # the strongest first: each begins from the last
            offset = None if base_CE is None else offsets[c][before]
            model = fit(x_EK[before], y_E[before], penalty, offset, standardise=standardise, start=model)
            everywhere = model.log_odds(x_EK) + offsets[c]
            fitted[i].append(everywhere)
            chained[i][later] = everywhere[later]
    judged = ~np.isnan(chained[0])
    losses = [
        log_loss(probability(forecast[judged]), y_E[judged]).mean() if judged.any() else 0 for forecast in chained
    ]
    best = int(np.argmin(losses)) if judged.any() else len(penalties) - 1
    model = fit(x_EK, y_E, penalties[best], None if base_CE is None else offsets[-1], standardise=standardise)
    return Chained(model, chained[best], np.array([*fitted[best], model.log_odds(x_EK) + offsets[-1]]))


def _cuts(at_E: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Forward chaining: the rows before a moment, and the rows up to the next."""
    moments = np.unique(at_E)
    if len(moments) < 4 * FOLDS:
        return
    ends = [moments[int(len(moments) * share)] for share in np.linspace(0.4, 1, FOLDS + 1)[:-1]] + [np.inf]
    for begin, end in pairwise(ends):
        yield at_E < begin, (at_E >= begin) & (at_E < end)


def probability(log_odds: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-t)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * log_odds))


def log_loss(p_E: np.ndarray, y_E: np.ndarray) -> np.ndarray:
    """-log of the probability given to what happened, probabilities clipped at `CLIP`; shape E."""
    p = np.clip(p_E, CLIP, 1 - CLIP)
    return -(y_E * np.log(p) + (1 - y_E) * np.log(1 - p))
