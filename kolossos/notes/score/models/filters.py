"""Who and what takes part in a fit: enough ratings a note and a rater, the group that steadies the start."""

import numpy as np

from kolossos.notes.score.columns import Participants, Ratings, count_per

FEWEST_OF_NOTE, FEWEST_OF_RATER = 5, 10
STEADY_GROUP, STEADY_SHARE = 13, 0.75


def _of_notes(ratings: Ratings, size: int, fewest: int) -> Ratings:
    return ratings.where(count_per(ratings.note_R, size)[ratings.note_R] >= fewest)


def enough_ratings(ratings: Ratings, n_notes: int, n_participants: int) -> Ratings:
    """Notes with 5 ratings, then raters with 10, then notes with 5 again: once, not to convergence."""
    ratings = _of_notes(ratings, n_notes, FEWEST_OF_NOTE)
    ratings = ratings.where(count_per(ratings.rater_R, n_participants)[ratings.rater_R] >= FEWEST_OF_RATER)
    return _of_notes(ratings, n_notes, FEWEST_OF_NOTE)


def steady_ratings(ratings: Ratings, n_notes: int, participants: Participants) -> Ratings:
    """Ratings by group 13 on notes that have at least 75 % of their (at least 5) ratings from it.

    Only ratings by enrolled raters are counted.
    """
    enrolled = ratings.where(participants.enrolled_P[ratings.rater_R])
    steady_R = participants.group_P[enrolled.rater_R] == STEADY_GROUP
    total = count_per(enrolled.note_R, n_notes)
    share = count_per(enrolled.note_R, n_notes, steady_R.astype(np.float64)) / np.maximum(total, 1)
    chosen_N = (share >= STEADY_SHARE) & (total >= FEWEST_OF_NOTE)
    return enrolled.where(steady_R & chosen_N[enrolled.note_R])
