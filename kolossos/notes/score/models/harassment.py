"""Which notes raters of all sides call spam, harassment or abuse: a logistic factorisation on that tag."""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import Ratings
from kolossos.notes.score.models.factorisation import FACTOR_RIDGE, INTERCEPT_RIDGE, Fit
from kolossos.notes.score.models.filters import enough_ratings
from kolossos.notes.score.models.logistic import Adam, LogisticModel
from kolossos.notes.tables.schema import NOT_HELPFUL_TAGS

TAG = NOT_HELPFUL_TAGS.index("notHelpfulSpamHarassmentOrAbuse")
OTHER = NOT_HELPFUL_TAGS.index("notHelpfulOther")
TAGS_KNOWN_SINCE_MILLIS = 1639699200000
RATE, CONVERGENCE, FEWEST_STEPS = 2.0, 1e-7, 100
START_SCALE = 2.0


@dataclass(frozen=True)
class _Labelled:
    ratings: Ratings
    target_R: np.ndarray


def _labelled(ratings: Ratings, n_notes: int, n_participants: int) -> _Labelled:
    """Positive: the tag. Negative: a helpful answer, or the tag "other" without it. Other ratings say nothing."""
    recent = ratings.where(ratings.created_R >= TAGS_KNOWN_SINCE_MILLIS)
    tagged_R = recent.tagged(TAG)
    speaks_R = tagged_R | (recent.answer_R == 1.0) | recent.tagged(OTHER)
    chosen = enough_ratings(recent.where(speaks_R), n_notes, n_participants)
    return _Labelled(chosen, chosen.tagged(TAG).astype(np.float64))


def harassment_scores(ratings: Ratings, first: Fit, n_notes: int, n_participants: int) -> np.ndarray:
    """Intercept of each note in the tag's model, NaN where the model says nothing; shape N.

    Args:
        ratings: of raters who are above the threshold before this model speaks.
        first: the first fit; its factors, doubled, are the start.
    """
    scores = np.full(n_notes, np.nan)
    data = _labelled(ratings, n_notes, n_participants)
    positive = float(data.target_R.mean()) if len(data.ratings) else 0.0
    if positive in (0.0, 1.0):
        return scores
    notes, note_R = np.unique(data.ratings.note_R, return_inverse=True)
    raters, rater_R = np.unique(data.ratings.rater_R, return_inverse=True)
    model = LogisticModel(
        {
            "note_factor": START_SCALE * np.nan_to_num(first.note_factor_N[notes]),
            "note_bias": np.zeros(len(notes)),
            "rater_factor": START_SCALE * np.nan_to_num(first.rater_factor_P[raters]),
            "rater_bias": np.zeros(len(raters)),
            "rater_weight": np.ones(len(raters)),
            "mu": np.zeros(1),
        },
        ridge={
            "note_factor": FACTOR_RIDGE / len(notes),
            "note_bias": INTERCEPT_RIDGE / len(notes),
            "rater_factor": FACTOR_RIDGE / len(raters),
            "rater_bias": INTERCEPT_RIDGE / len(raters),
            "mu": INTERCEPT_RIDGE,
        },
        trained=("note_factor", "note_bias", "rater_factor", "rater_bias", "mu"),
    )
    weight_R = np.where(data.target_R > 0, (1 - positive) / positive, 1.0)
    _descend(model, note_R.astype(np.int32), rater_R.astype(np.int32), data.target_R, weight_R)
    scores[notes] = model.parameters["note_bias"]
    return scores


def _descend(
    model: LogisticModel, note_R: np.ndarray, rater_R: np.ndarray, target_R: np.ndarray, weight_R: np.ndarray
) -> int:
    """Steps until the loss changes by at most 1e-7 or, after 100 steps, rises; returns how many were taken."""
    adam = Adam(RATE, clip=True)
    loss, gradients = model.loss(note_R, rater_R, target_R, weight_R)
    previous, steps = 1e10, 0
    while abs(loss - previous) > CONVERGENCE and not (steps > FEWEST_STEPS and loss > previous):
        previous = loss
        adam.step(model.parameters, gradients)
        loss, gradients = model.loss(note_R, rater_R, target_R, weight_R)
        steps += 1
    return steps
