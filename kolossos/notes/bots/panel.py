"""The forecasting bots: each sees a part of what is known after a rating, and is fitted on notes that are decided.

Their forecasts are made without a look at the price. "stream" and "wide" see the features of the official early
predictor (answers by rater factor, tags, author) and more; they speak from the opening on, not from the eighth rating.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kolossos.errors import InputError
from kolossos.notes.bots.logistic import FOLDS, Logistic, fit_chosen, log_loss, probability
from kolossos.notes.bots.walk import COLUMN, NAMES, Walk
from kolossos.notes.tables.schema import HELPFUL_TAGS

TRAINED_AT = (*range(16), 17, 20, 25, 30, 40, 50)  # ratings: rows that models are fitted on
FEWEST_NOTES = 20
_HELPFUL = slice(len(NAMES), len(NAMES) + len(HELPFUL_TAGS))
_NOT_HELPFUL = slice(len(NAMES) + len(HELPFUL_TAGS), None)


def _of(x: np.ndarray, *names: str) -> np.ndarray:
    return x[:, [COLUMN[name] for name in names]]


def _seen(x: np.ndarray) -> np.ndarray:
    n = _of(x, "n")
    return n / (n + 3)


def two_features(x: np.ndarray) -> np.ndarray:
    """The mean answer and the mean above what its raters usually say, with how many there are."""
    m, logs = _of(x, "mean", "relative"), np.log1p(_of(x, "n"))
    return np.hstack([m, m * _seen(x), m * logs, logs, logs**2])


def author(x: np.ndarray) -> np.ndarray:
    """`two_features`, and how the author's other notes and the post's other notes were rated."""
    return np.hstack([two_features(x), _of(x, "author_mean", "author_relative", "sibling_mean")])


def stream(x: np.ndarray) -> np.ndarray:
    """`two_features`, the bridging score so far, how many said no, and how many tags of either kind there were."""
    n, intercept = _of(x, "n"), _of(x, "intercept", "factor", "net_minority")
    no = n * (1 - _of(x, "mean")) * (n > 0)
    few = [np.minimum(no, 1), np.minimum(no, 2), np.minimum(no, 4), (no == 0) * np.log1p(n), no / (n + 2)]
    tags = [x[:, _HELPFUL].sum(1, keepdims=True), x[:, _NOT_HELPFUL].sum(1, keepdims=True)]
    return np.hstack([two_features(x), *few, *tags, intercept, intercept[:, :1] * _seen(x)])


def tags(x: np.ndarray) -> np.ndarray:
    """`two_features`, and which tags were given how often."""
    n = _of(x, "n")
    return np.hstack([two_features(x), x[:, len(NAMES) :] * (n + 1) / (n + 4)])


def wide(x: np.ndarray) -> np.ndarray:
    """Everything, with what more ratings make of it."""
    n, logs = _of(x, "n"), np.log1p(_of(x, "n"))
    main = _of(x, "mean", "relative", "intercept", "factor", "net_minority", "author_mean", "author_relative")
    some = _of(x, "mean", "relative", "intercept", "net_minority")
    factor, intercept = np.abs(_of(x, "factor")), _of(x, "intercept")
    sides = np.minimum(_of(x, "negatives"), _of(x, "positives"))
    shapes = [
        logs,
        logs**2,
        main * n / (n + 4),
        some * logs,
        factor,
        factor * logs,
        intercept > 0.4,
        intercept**2,
        sides,
    ]
    return np.hstack([x, *shapes])


BOTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "two-features": two_features,  # the first: the others correct it
    "author": author,
    "stream": stream,
    "tags": tags,
    "wide": wide,
}


POOLED, FIRST = "pooled", "two-features"
LEAST_TRUST, TEMPER = 0.02, 0.05


@dataclass(frozen=True)
class Panel:
    """Fitted bots, the base rate of the notes that they were fitted on, and how far each trusts itself.

    ``trust``: exp(-0.05 L), L the log loss that a bot had more than the best one, summed over notes that it forecast
    from earlier ones: a weight as Bayes' rule gives it, tempered. A bot that others know better than bets less.
    """

    base_rate: float
    models: dict[str, Logistic]
    pool: Logistic
    trust: dict[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """The bots' names, in the order of the columns of `log_odds`."""
        return (*self.models, POOLED)

    def log_odds(self, rows_EK: np.ndarray) -> np.ndarray:
        """Each bot's log odds for each row, "pooled" last; shape E x bots."""
        each = [model.log_odds(BOTS[name](rows_EK)) for name, model in self.models.items()]
        each = np.column_stack([each[0], *(each[0] + correction for correction in each[1:])])
        return np.column_stack([each, self.pool.log_odds(_apart(each)) + each.mean(1)])


def _apart(each: np.ndarray) -> np.ndarray:
    """How far each bot's log odds are from their mean."""
    return each - each.mean(1, keepdims=True)


def fit_panel(walk: Walk, label_N: np.ndarray, created_N: np.ndarray, until: float = np.inf) -> Panel:
    """Fit every bot on the events before ``until`` (ms) of the notes that ``label_N`` knows (1, 0; NaN: not known).

    All but the first bot are corrections of "two-features", so that with few notes they say what it says. "pooled"
    weighs them by how they forecast later notes from earlier ones, drawn towards equal weights.

    Raises:
        InputError: too few notes with a label, or all of one kind.
    """
    known = ~np.isnan(label_N)
    if known.sum() < FEWEST_NOTES or len(np.unique(label_N[known])) < 2:
        raise InputError(
            f"{int(known.sum())} decided notes to learn from, {int(np.nansum(label_N))} of them helpful: "
            f"at least {FEWEST_NOTES} are needed, of both kinds"
        )
    used = known[walk.note_E] & (walk.at_E < until) & np.isin(walk.n_E, TRAINED_AT)
    note, rows = walk.note_E[used], walk.rows_EK[used]
    y, at = label_N[note], created_N[note]
    first = fit_chosen(two_features(rows), y, at)
    others = [fit_chosen(see(rows), y, at, base_CE=first.base_CE) for name, see in BOTS.items() if name != FIRST]
    models = dict(zip(BOTS, [fitted.model for fitted in (first, *others)], strict=True))
    chained = np.column_stack([fitted.chained_E for fitted in (first, *others)])
    judged = ~np.isnan(chained[:, 0])
    if not judged.any():
        chained, judged = np.zeros_like(chained), np.ones(len(y), bool)
    chained, mean = chained[judged], chained[judged].mean(1)
    cuts = len(list(np.unique(at[judged])[: 4 * FOLDS])) // (4 * FOLDS) * FOLDS + 1
    pool = fit_chosen(_apart(chained), y[judged], at[judged], base_CE=np.tile(mean, (cuts, 1)), standardise=False).model
    losses = _losses(chained, y[judged], note[judged])
    trust = np.maximum(np.exp(-TEMPER * (losses - losses.min())), LEAST_TRUST)
    trusts = {**dict(zip(models, trust.tolist(), strict=True)), POOLED: 1.0}
    return Panel(float(label_N[known].mean()), models, pool, trusts)


def _losses(chained: np.ndarray, y: np.ndarray, note: np.ndarray) -> np.ndarray:
    """For each bot the sum over notes of the mean log loss of its forecasts; shape bots."""
    place = np.unique(note, return_inverse=True)[1]
    counts = np.bincount(place)
    each = [np.bincount(place, weights=log_loss(probability(forecast), y)) / counts for forecast in chained.T]
    return np.array([loss.sum() for loss in each])
