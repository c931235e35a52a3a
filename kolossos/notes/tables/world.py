"""A synthetic world as arrays: people, notes, answers, and the dirt that is mixed in when it becomes tables."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PeopleTruth:
    """Hidden values of each person, shape P."""

    id_P: np.ndarray
    factor_P: np.ndarray
    intercept_P: np.ndarray
    noise_P: np.ndarray
    activity_P: np.ndarray
    group_P: np.ndarray
    enrolled_P: np.ndarray
    ring_P: np.ndarray


@dataclass(frozen=True)
class NotesTruth:
    """Hidden values of each note, shape N; times in ms."""

    id_N: np.ndarray
    post_N: np.ndarray
    author_N: np.ndarray
    created_N: np.ndarray
    quality_N: np.ndarray
    factor_N: np.ndarray
    abusive_N: np.ndarray
    hidden_error_N: np.ndarray
    not_misleading_N: np.ndarray
    popularity_N: np.ndarray
    deleted_N: np.ndarray


@dataclass(frozen=True)
class Answers:
    """Ratings in the order of time, shape R; tags are masks of shape (R, tags)."""

    note_R: np.ndarray
    rater_R: np.ndarray
    answer_R: np.ndarray
    created_R: np.ndarray
    helpful_tags_RT: np.ndarray
    not_helpful_tags_RT: np.ndarray
    sampled_R: np.ndarray


@dataclass(frozen=True)
class Dirt:
    """Rows to repeat, rows to leave without an answer, and ratings of notes that are in no table."""

    repeated: np.ndarray
    unanswered: np.ndarray
    unknown_note: np.ndarray
    unknown_rater: np.ndarray
    unknown_time: np.ndarray


@dataclass(frozen=True)
class Synthetic:
    """A whole world over so many days."""

    people: PeopleTruth
    notes: NotesTruth
    answers: Answers
    dirt: Dirt
    days: int
