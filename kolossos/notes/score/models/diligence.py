"""Which notes have poor sources in the eyes of reliable taggers: a logistic model in three rounds.

Target: a rating tagged incorrect, irrelevant sources, or missing or unreliable sources. Round one fits all but the
weights of raters; round two the weights and all but the notes' biases; round three the biases alone, each rating
weighted by its rater and each note's ratings together by the root of their weight. In the final round the raters
stand still.

The official code looks up where a note begins in the final round by its id after a passage through float64, so a note
whose id does not survive that (all but one in 256) begins at zero. The same is done here: with it, the final round
agrees with official scores to 3e-5 where prescoring's state is given, without it to 0.7.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import Ratings
from kolossos.notes.score.models.logistic import Adam, LogisticModel
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

BITS = tuple(
    NOT_HELPFUL_TAGS.index(tag)
    for tag in ("notHelpfulIncorrect", "notHelpfulIrrelevantSources", "notHelpfulSourcesMissingOrUnreliable")
)
RIDGE = 0.03
RIDGES = {"note_factor": 1.0, "note_bias": 1.0, "rater_factor": 1.0, "rater_bias": 10.0, "rater_weight": 50.0}
RATE, MOST_STEPS, CONVERGENCE, EVERY = 0.2, 300, 1e-5, 5
POSITIVE_WEIGHT, LAST_ROUND = 100.0, 5.0
SMOOTHING, REPUTATION_POWER, NOTE_POWER = 0.1, 0.5, -0.5


@dataclass(frozen=True)
class DiligenceState:
    """What prescoring hands to the final round: shape P or N; NaN for those who took no part."""

    rater_factor_P: np.ndarray
    rater_weight_P: np.ndarray
    rater_bias_P: np.ndarray
    rater_bias_second_P: np.ndarray
    note_factor_N: np.ndarray
    note_bias_N: np.ndarray
    note_bias_second_N: np.ndarray
    mu_second: float
    mu_last: float
    ratings_per_note: float
    ratings_per_rater: float


@dataclass(frozen=True)
class _Data:
    notes: np.ndarray
    raters: np.ndarray
    note_R: np.ndarray
    rater_R: np.ndarray
    target_R: np.ndarray


def _data(ratings: Ratings) -> _Data:
    notes, note_R = np.unique(ratings.note_R, return_inverse=True)
    raters, rater_R = np.unique(ratings.rater_R, return_inverse=True)
    target = np.zeros(len(ratings), bool)
    for bit in BITS:
        target |= ratings.tagged(bit)
    return _Data(notes, raters, note_R.astype(np.int32), rater_R.astype(np.int32), target.astype(np.float64))


def _train(model: LogisticModel, data: _Data, weight_R: np.ndarray) -> None:
    """Up to 301 steps; every fifth looks whether the loss has moved by 1e-5 since the last look."""
    adam = Adam(RATE)
    looked = None
    for step in range(MOST_STEPS + 1):
        loss, gradients = model.loss(data.note_R, data.rater_R, data.target_R, weight_R)
        if step % EVERY == 0:
            if looked is not None and abs(looked - loss) < CONVERGENCE:
                return
            looked = loss
        adam.step(model.parameters, gradients)


def _even_weights(data: _Data) -> np.ndarray:
    return np.where(data.target_R > 0, POSITIVE_WEIGHT, 1.0)


def _last_weights(data: _Data, rater_weight: np.ndarray) -> np.ndarray:
    """Class weight, then the rater's reputation, then the note's total to the power -1/2."""
    reputation = np.maximum(rater_weight, 0.0) ** REPUTATION_POWER
    weight_R = np.where(data.target_R > 0, POSITIVE_WEIGHT * LAST_ROUND, 1.0)
    weight_R = weight_R * ((SMOOTHING + reputation) / (1 + SMOOTHING))[data.rater_R]
    total = np.bincount(data.note_R, weights=weight_R, minlength=len(data.notes)) + 2.0**-20
    return weight_R * (total**NOTE_POWER)[data.note_R]


def _ridge(notes: float, raters: float) -> dict[str, float]:
    return {name: RIDGE * times / (notes if name.startswith("note") else raters) for name, times in RIDGES.items()}


def fit_diligence(ratings: Ratings, rater_factor_P: np.ndarray, n_notes: int) -> DiligenceState:
    """The three rounds of prescoring.

    Args:
        ratings: those of the last fit.
        rater_factor_P: that fit's rater factors, where this model's raters begin.
    """
    data = _data(ratings)
    n, u = len(data.notes), len(data.raters)
    model = LogisticModel(
        {
            "note_factor": np.zeros(n),
            "note_bias": np.zeros(n),
            "rater_factor": np.nan_to_num(rater_factor_P[data.raters]),
            "rater_bias": np.zeros(u),
            "rater_weight": np.ones(u),
            "mu": np.zeros(1),
        },
        ridge=_ridge(n, u),
        trained=("note_factor", "note_bias", "rater_factor", "rater_bias", "mu"),
    )
    _train(model, data, _even_weights(data))
    model.trained = ("note_factor", "rater_factor", "rater_bias", "rater_weight", "mu")
    _train(model, data, _even_weights(data))
    second = {name: values.copy() for name, values in model.parameters.items()}
    model.trained = ("note_bias", "rater_bias", "mu")
    _train(model, data, _last_weights(data, model.parameters["rater_weight"]))
    last = model.parameters

    def of_raters(values: np.ndarray) -> np.ndarray:
        out = np.full(len(rater_factor_P), np.nan)
        out[data.raters] = values
        return out

    def of_notes(values: np.ndarray) -> np.ndarray:
        out = np.full(n_notes, np.nan)
        out[data.notes] = values
        return out

    return DiligenceState(
        rater_factor_P=of_raters(last["rater_factor"]),
        rater_weight_P=of_raters(last["rater_weight"]),
        rater_bias_P=of_raters(last["rater_bias"]),
        rater_bias_second_P=of_raters(second["rater_bias"]),
        note_factor_N=of_notes(last["note_factor"]),
        note_bias_N=of_notes(last["note_bias"]),
        note_bias_second_N=of_notes(second["note_bias"]),
        mu_second=float(second["mu"][0]),
        mu_last=float(last["mu"][0]),
        ratings_per_note=len(ratings) / n,
        ratings_per_rater=len(ratings) / u,
    )


def score_diligence(ratings: Ratings, state: DiligenceState, note_ids_N: np.ndarray) -> np.ndarray:
    """Bias of each note in the final round (high means low diligence), NaN without a used rating; shape N."""
    scores = np.full(len(note_ids_N), np.nan)
    if not len(ratings):
        return scores
    data = _data(ratings)
    found = note_ids_N.astype(np.float64).astype(np.int64) == note_ids_N
    model = LogisticModel(
        {
            "note_factor": np.where(found, np.nan_to_num(state.note_factor_N), 0.0)[data.notes],
            "note_bias": np.where(found, np.nan_to_num(state.note_bias_second_N), 0.0)[data.notes],
            "rater_factor": np.nan_to_num(state.rater_factor_P[data.raters]),
            "rater_bias": np.nan_to_num(state.rater_bias_second_P[data.raters]),
            "rater_weight": np.nan_to_num(state.rater_weight_P[data.raters]),
            "mu": np.array([state.mu_second]),
        },
        ridge=_ridge(len(ratings) / state.ratings_per_note, len(ratings) / state.ratings_per_rater),
        trained=("note_factor",),
    )
    _train(model, data, _even_weights(data))
    model.parameters["mu"] = np.array([state.mu_last])
    model.parameters["rater_bias"] = np.nan_to_num(state.rater_bias_P[data.raters])
    model.trained = ("note_bias",)
    _train(model, data, _last_weights(data, model.parameters["rater_weight"]))
    scores[data.notes] = model.parameters["note_bias"]
    return scores
