"""What the scorer works on: ratings, notes and participants as arrays, coded by integers.

Shape suffixes: R ratings, N notes, P participants (raters and authors). Ratings are sorted by note, then rater, so
that no result depends on the order of rows in a file.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

CRH, CRNH, NMR = "CURRENTLY_RATED_HELPFUL", "CURRENTLY_RATED_NOT_HELPFUL", "NEEDS_MORE_RATINGS"
FIRM_REJECT, NEEDS_YOUR_HELP = "FIRM_REJECT", "NEEDS_YOUR_HELP"
CORE_GROUPS = (1, 2, 3, 6, 8, 9, 10, 11, 13, 14, 19, 21, 25)


@dataclass(frozen=True)
class Ratings:
    """One row a rating. Answers are 0, 0.5 or 1; tags are bits in the order of the tables' tag columns."""

    note_R: np.ndarray
    rater_R: np.ndarray
    answer_R: np.ndarray
    created_R: np.ndarray
    helpful_tags_R: np.ndarray
    not_helpful_tags_R: np.ndarray
    sampled_R: np.ndarray
    high_volume_R: np.ndarray
    correlated_R: np.ndarray

    def __len__(self) -> int:
        return len(self.note_R)

    def where(self, kept_R: np.ndarray) -> "Ratings":
        """The ratings that ``kept_R`` (a mask or indices) selects, in order."""
        return Ratings(**{f.name: getattr(self, f.name)[kept_R] for f in fields(self)})

    def tagged(self, bit: int) -> np.ndarray:
        """Whether each rating carries not-helpful tag number ``bit``."""
        return (self.not_helpful_tags_R >> np.uint16(bit)) & np.uint16(1) > 0


@dataclass(frozen=True)
class Notes:
    """One row a note of the notes table or the status history, sorted by id; times in ms, NaN where there is none."""

    id_N: np.ndarray
    author_N: np.ndarray
    created_N: np.ndarray
    classification_N: np.ndarray
    not_misleading_N: np.ndarray
    listed_N: np.ndarray
    current_status_N: np.ndarray
    first_status_N: np.ndarray
    latest_decision_N: np.ndarray
    locked_status_N: np.ndarray
    lock_time_N: np.ndarray
    waiting_since_N: np.ndarray

    def __len__(self) -> int:
        return len(self.id_N)


@dataclass(frozen=True)
class Participants:
    """Raters and authors, sorted by id. ``group_P`` is NaN without a modeling group."""

    id_P: np.ndarray
    group_P: np.ndarray
    enrolled_P: np.ndarray

    def __len__(self) -> int:
        return len(self.id_P)


@dataclass(frozen=True)
class World:
    """Everything one scoring run reads, after preparation; ``now`` is its moment in ms."""

    ratings: Ratings
    notes: Notes
    participants: Participants
    now: float
    dropped: dict[str, int]


def count_per(index: np.ndarray, size: int, weights: np.ndarray | None = None) -> Any:
    """Sum of ``weights`` (or the count) for each of ``size`` indices, in row order."""
    counts = np.bincount(index, weights=weights, minlength=size)
    return counts if weights is not None else counts.astype(np.int64)
