"""How helpful each participant has been: as a rater, as an author, and less what harassment costs."""

from dataclasses import dataclass

import numpy as np

from kolossos.notes.score.columns import CRH, CRNH, Notes, Ratings, count_per

FEWEST_AGREEING, FEWEST_DIFFERENCE, LOWEST_MEAN = 0.66, 0.0, 0.05
CRNH_COSTS = 5.0
PUBLIC_AFTER_MILLIS = 172_800_000
TOMBSTONES_MILLIS = 1652918400000  # 19 May 2022: for older notes the first five ratings count
FIRST_OF_OLD_NOTES = 5
HARASSING_FROM, HARASSMENT_COSTS = 2.0, 10.0


@dataclass(frozen=True)
class Helpfulness:
    """Measures of each participant, NaN where there is nothing to measure; shape P."""

    crh_crnh_difference_P: np.ndarray
    mean_note_score_P: np.ndarray
    agree_ratio_P: np.ndarray
    agreeing_P: np.ndarray
    valid_P: np.ndarray
    successful_helpful_P: np.ndarray
    successful_not_helpful_P: np.ndarray
    unsuccessful_helpful_P: np.ndarray
    unsuccessful_not_helpful_P: np.ndarray
    penalty_P: np.ndarray
    agree_ratio_after_penalty_P: np.ndarray
    above_threshold_P: np.ndarray


def valid_ratings(ratings: Ratings, notes: Notes, status_N: np.ndarray) -> Ratings:
    """Ratings that say something about their rater: early, clear, and on a note that the first round decided."""
    created = notes.created_N[ratings.note_R]
    early_R = ratings.created_R - created < PUBLIC_AFTER_MILLIS
    decided_R = np.isin(status_N, (CRH, CRNH))[ratings.note_R]
    clear_R = (ratings.answer_R == 0.0) | (ratings.answer_R == 1.0)
    old_R = created < TOMBSTONES_MILLIS
    latest = notes.latest_decision_N[ratings.note_R]
    before_R = np.isnan(latest) | (ratings.created_R < latest)
    first_R = _first_five(ratings, old_R & early_R)
    return ratings.where(((~old_R & early_R & before_R) | first_R) & decided_R & clear_R)


def _first_five(ratings: Ratings, among_R: np.ndarray) -> np.ndarray:
    chosen = np.zeros(len(ratings), bool)
    rows = np.flatnonzero(among_R)
    if not len(rows):
        return chosen
    order = rows[np.lexsort((ratings.rater_R[rows], ratings.created_R[rows], ratings.note_R[rows]))]
    note = ratings.note_R[order]
    starts = np.flatnonzero(np.concatenate([[True], note[1:] != note[:-1]]))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    chosen[order[rank < FIRST_OF_OLD_NOTES]] = True
    return chosen


def helpfulness(
    valid: Ratings,
    notes: Notes,
    status_N: np.ndarray,
    intercept_N: np.ndarray,
    penalty_P: np.ndarray,
) -> Helpfulness:
    """Scores from valid ratings, written notes and the harassment penalty.

    Args:
        status_N, intercept_N: of the first round; a note without an intercept does not count for its author.
        penalty_P: agreeing ratings that harassment costs each participant.
    """
    size = len(penalty_P)
    liked_R = valid.answer_R == 1.0
    crh_R = (status_N == CRH)[valid.note_R]
    total = count_per(valid.rater_R, size).astype(np.float64)
    total[total == 0] = np.nan

    def counted(mask_R: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(total), np.nan, count_per(valid.rater_R[mask_R], size))

    agreeing = counted(liked_R == crh_R)
    written = np.flatnonzero(~np.isnan(intercept_N) & (notes.author_N >= 0))
    author = notes.author_N[written]
    n_written = count_per(author, size).astype(np.float64)
    n_written[n_written == 0] = np.nan
    crh = count_per(author, size, (status_N[written] == CRH).astype(np.float64)) / n_written
    crnh = count_per(author, size, (status_N[written] == CRNH).astype(np.float64)) / n_written
    difference = crh - crnh * CRNH_COSTS
    mean_score = count_per(author, size, intercept_N[written]) / n_written
    agree_ratio, after = agreeing / total, (agreeing - penalty_P) / total
    with np.errstate(invalid="ignore"):
        good_author = np.isnan(difference) | ((difference >= FEWEST_DIFFERENCE) & (mean_score >= LOWEST_MEAN))
        above = good_author & (agree_ratio >= FEWEST_AGREEING) & (after >= FEWEST_AGREEING)
    return Helpfulness(
        crh_crnh_difference_P=difference,
        mean_note_score_P=mean_score,
        agree_ratio_P=agree_ratio,
        agreeing_P=agreeing,
        valid_P=total,
        successful_helpful_P=counted(liked_R & crh_R),
        successful_not_helpful_P=counted(~liked_R & ~crh_R),
        unsuccessful_helpful_P=counted(~liked_R & crh_R),
        unsuccessful_not_helpful_P=counted(liked_R & ~crh_R),
        penalty_P=penalty_P,
        agree_ratio_after_penalty_P=after,
        above_threshold_P=above,
    )


def harassment_penalty(ratings: Ratings, harassment_N: np.ndarray, size: int) -> np.ndarray:
    """Agreeing ratings that "helpful" on harassing notes cost each rater: 10 x score / 2 each; shape P."""
    with np.errstate(invalid="ignore"):
        harassing_N = harassment_N >= HARASSING_FROM
    costly = ratings.where((ratings.answer_R == 1.0) & harassing_N[ratings.note_R])
    return count_per(costly.rater_R, size, HARASSMENT_COSTS * harassment_N[costly.note_R] / HARASSING_FROM)
