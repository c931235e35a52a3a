"""One pass over ratings in time order: what could be known of a note right after each of them.

Nothing of the future enters: rater parameters are those of a fit on the days before, and every sum ends with the rating
in whose row it stands. The same rows are what a bot sees and what a model is fitted on.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kolossos.notes.score.columns import World
from kolossos.notes.score.compiled import compiled
from kolossos.notes.score.final_round import FACTOR_RIDGE, INTERCEPT_RIDGE
from kolossos.notes.score.models.factorisation import Start, fit
from kolossos.notes.score.models.filters import enough_ratings
from kolossos.notes.tables.schema import HELPFUL_TAGS, NOT_HELPFUL_TAGS

DAY = 86_400_000
PRIOR_ANSWER, PRIOR_WEIGHT = 0.65, 2.0  # of somebody who has not rated yet

NAMES = (
    "n", "mean", "relative", "intercept", "factor", "known", "spread", "negatives", "positives", "net_negative",
    "net_positive", "net_minority", "somewhat", "hours", "gap", "author_notes", "author_mean", "author_relative",
    "siblings", "sibling_mean", "experience", "not_misleading", "last",
)  # fmt: skip
TAGS = len(HELPFUL_TAGS) + len(NOT_HELPFUL_TAGS)
WIDTH = len(NAMES) + TAGS
COLUMN = {name: place for place, name in enumerate(NAMES)}
ALL_NAMES = (*NAMES, *HELPFUL_TAGS, *NOT_HELPFUL_TAGS)


@dataclass(frozen=True)
class Walk:
    """Rows in time order. Shape suffixes: E events (each note's opening and each rating), K columns of `ALL_NAMES`."""

    note_E: np.ndarray
    at_E: np.ndarray
    n_E: np.ndarray  # ratings of the note so far: 0 at its opening
    rows_EK: np.ndarray
    rating_E: np.ndarray  # the index in the world's ratings; -1 at an opening


def _counted(s, y, error, f):
    """One more rating by a rater with a known factor, in the sums that rest on rater parameters."""
    s[5] += 1
    s[6] += f
    s[7] += f * f
    s[8] += error
    s[9] += error * f
    side = 10 if f < 0 else 11
    s[side] += 1
    s[side + 2] += (y == 1.0) - (y == 0.0)


def _pass(events, ratings, notes, parameters, state, out):
    """Events of one day, in order: count each in, then copy all sums of its note, author and post as they stand."""
    first, last, note_E, rating_E = events
    rater_R, answer_R, helpful_R, not_helpful_R = ratings
    author_N, post_N = notes
    mu, intercept_P, factor_P, ridge_i, ridge_f = parameters
    by_note, tags_NT, by_rater, by_author, by_post = state
    raw_ES, tags_ET, prior, weight, helpful_tags = out
    for e in range(first, last):
        n, r = note_E[e], rating_E[e]
        s, author, post = by_note[n], by_author[author_N[n]], by_post[post_N[n]]
        if r < 0:
            author[0] += 1
            post[0] += 1
        else:
            u, y = rater_R[r], answer_R[r]
            given = by_rater[u]
            earlier = (given[1] + prior * weight) / (given[0] + weight)
            s[0] += 1
            s[1] += y
            s[2] += y - earlier
            s[3] += y == 0.5
            s[4] += np.log1p(given[0])
            given[0] += 1
            given[1] += y
            f = factor_P[u]
            if not np.isnan(f):
                _counted(s, y, y - mu - intercept_P[u], f)
            for t in range(tags_NT.shape[1]):
                bits = helpful_R[r] >> t if t < helpful_tags else not_helpful_R[r] >> (t - helpful_tags)
                tags_NT[n, t] += bits & 1
            author[1] += 1
            author[2] += y
            author[3] += y - earlier
            post[1] += 1
            post[2] += y
        row = raw_ES[e]
        row[:14] = s
        row[14:18] = author
        row[18:21] = post
        row[21] = ridge_i
        row[22] = ridge_f
        tags_ET[e] = tags_NT[n]


_compiled_pass = compiled(_pass, _counted=_counted)


def _again(upto, note_R, rater_R, answer_R, order, parameters, by_note):
    """The sums that rest on rater parameters, made anew with today's, over all ratings up to ``upto`` in time order."""
    mu, intercept_P, factor_P, _, _ = parameters
    by_note[:, 5:14] = 0.0
    for i in range(upto):
        r = order[i]
        u = rater_R[r]
        f = factor_P[u]
        if not np.isnan(f):
            y = answer_R[r]
            _counted(by_note[note_R[r]], y, y - mu - intercept_P[u], f)


_compiled_again = compiled(_again, _counted=_counted)


def walk(world: World, post_N: np.ndarray, every: int = DAY) -> Walk:
    """Play a world. ``post_N``: the number of each note's post. Raters are fitted anew every ``every`` ms.

    Events of one moment are in the order: openings, then ratings by note and rater. A rating that is older than its
    note counts as if given at the note's opening.
    """
    r, notes = world.ratings, world.notes
    created_N = np.where(np.isnan(notes.created_N), 0, notes.created_N)
    opens = np.unique(r.note_R) if not len(notes) else np.arange(len(notes))
    at = np.concatenate([created_N[opens], np.maximum(r.created_R, created_N[r.note_R])])
    note = np.concatenate([opens, r.note_R]).astype(np.int64)
    rating = np.concatenate([np.full(len(opens), -1), np.arange(len(r))])
    order = np.lexsort((rating, note, rating >= 0, at))
    at, note, rating = at[order], note[order], rating[order]
    n_notes, people = len(notes), len(world.participants)
    state = (
        *(np.zeros((n_notes, width)) for width in (14, TAGS)),
        *(np.zeros(shape) for shape in ((people, 2), (people + 1, 4), (int(post_N.max()) + 1, 3))),
    )
    raw_ES, tags_ET = np.zeros((len(at), 23)), np.zeros((len(at), TAGS))
    author_N = np.where(notes.author_N >= 0, notes.author_N, people).astype(np.int64)
    about = author_N, post_N.astype(np.int64)
    out = raw_ES, tags_ET, PRIOR_ANSWER, PRIOR_WEIGHT, len(HELPFUL_TAGS)
    ratings = (
        r.rater_R.astype(np.int64),
        r.answer_R,
        r.helpful_tags_R.astype(np.int64),
        r.not_helpful_tags_R.astype(np.int64),
    )
    rated = rating[rating >= 0]
    given = np.cumsum(rating >= 0)
    start = None
    edges = np.arange(at[0] // every * every, at[-1] + every, every)
    bounds = np.append(np.searchsorted(at, edges), len(at))
    for first, last in pairwise(bounds.tolist()):
        if first == last:
            continue
        upto = int(given[first - 1]) if first else 0
        parameters, start = _parameters(world, rated[:upto], start)
        _compiled_again(upto, r.note_R.astype(np.int64), ratings[0], r.answer_R, rated, parameters, state[0])
        _compiled_pass((first, last, note, rating), ratings, about, parameters, state, out)
    last_E = np.where(rating >= 0, r.answer_R[rating], PRIOR_ANSWER)
    times = at - created_N[note], at - _earlier(note, at)
    rows = _rows(raw_ES, tags_ET, times, notes.not_misleading_N[note].astype(float), last_E)
    return Walk(note, at, raw_ES[:, 0].astype(np.int64), rows, rating)


def _earlier(note_E: np.ndarray, at_E: np.ndarray) -> np.ndarray:
    """The time of the event of the same note before each; of its first, its own."""
    order = np.argsort(note_E, kind="stable")
    before = np.empty_like(at_E)
    before[order] = np.where(np.diff(note_E[order], prepend=-1) == 0, np.roll(at_E[order], 1), at_E[order])
    return before


def _rows(
    raw: np.ndarray,
    tags: np.ndarray,
    times: tuple[np.ndarray, np.ndarray],
    not_misleading: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """The columns `ALL_NAMES` from sums; those of author and post without the note's own ratings."""
    c, total, relative, half, experience, known, s1, s2, b0, b1 = raw[:, :10].T
    some, others, beside = np.maximum(c, 1), raw[:, 15] - c, raw[:, 19] - c
    a, d = known + raw[:, 21], s2 + raw[:, 22]
    det = a * d - s1 * s1
    columns = {
        "n": c, "mean": np.where(c > 0, total / some, PRIOR_ANSWER), "relative": relative / (c + 1),
        "intercept": (d * b0 - s1 * b1) / det, "factor": (a * b1 - s1 * b0) / det, "known": known,
        "spread": np.sqrt(d / det), "negatives": raw[:, 10], "positives": raw[:, 11], "net_negative": raw[:, 12],
        "net_positive": raw[:, 13], "net_minority": np.minimum(raw[:, 12], raw[:, 13]), "somewhat": half / some,
        "hours": np.log1p(times[0] / 3.6e6), "gap": np.log1p(times[1] / 3.6e6), "author_notes": raw[:, 14] - 1,
        "author_mean": (raw[:, 16] - total + PRIOR_ANSWER * PRIOR_WEIGHT) / (others + PRIOR_WEIGHT),
        "author_relative": (raw[:, 17] - relative) / (others + 3), "siblings": raw[:, 18] - 1,
        "sibling_mean": (raw[:, 20] - total + PRIOR_ANSWER * PRIOR_WEIGHT) / (beside + PRIOR_WEIGHT),
        "experience": experience / some, "not_misleading": not_misleading, "last": last,
    }  # fmt: skip
    return np.column_stack([*(columns[name] for name in NAMES), tags / (c + 1)[:, None]])


def _parameters(world: World, past: np.ndarray, start: Start | None) -> tuple[tuple, Start | None]:
    """mu, rater parameters (NaN: unknown) and ridges from the ratings ``past``; nothing is known at first."""
    people = len(world.participants)
    nothing = np.full(people, np.nan)
    sizes = (len(world.notes), people)
    training = enough_ratings(world.ratings.where(np.sort(past)), *sizes) if len(past) else None
    if training is None or len(training) < 50:
        return (0.0, nothing, nothing, INTERCEPT_RIDGE * 10, FACTOR_RIDGE * 10), start
    found = fit(training.note_R, training.rater_R, training.answer_R, sizes, start)
    k = found.ratings_per_note
    start = Start(found.mu, found.rater_intercept_P, found.rater_factor_P)
    return (found.mu, found.rater_intercept_P, found.rater_factor_P, INTERCEPT_RIDGE * k, FACTOR_RIDGE * k), start
