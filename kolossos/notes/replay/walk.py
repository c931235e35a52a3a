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


def _pass(events, ratings, notes, parameters, state, out):
    """Events of one day, in order. See the fields' order where it is called."""
    first, last, note_E, rating_E, at_E = events
    rater_R, answer_R, helpful_R, not_helpful_R = ratings
    author_N, post_N, created_N, not_misleading_N = notes
    mu, intercept_P, factor_P, ridge_i, ridge_f = parameters
    by_note, tags_NT, last_N, by_rater, by_author, by_post = state
    rows, prior, weight, helpful_tags, width, total_tags = out
    for e in range(first, last):
        n = note_E[e]
        r = rating_E[e]
        s = by_note[n]
        a, p = author_N[n], post_N[n]
        if r < 0:
            by_author[a, 0] += 1
            by_post[p, 0] += 1
            last_N[n] = created_N[n]
        else:
            u = rater_R[r]
            y = answer_R[r]
            earlier = (by_rater[u, 1] + prior * weight) / (by_rater[u, 0] + weight)
            s[0] += 1
            s[1] += y
            s[2] += y - earlier
            if y == 0.5:
                s[3] += 1
            s[4] += np.log1p(by_rater[u, 0])
            by_rater[u, 0] += 1
            by_rater[u, 1] += y
            f = factor_P[u]
            if not np.isnan(f):
                error = y - mu - intercept_P[u]
                s[5] += 1
                s[6] += f
                s[7] += f * f
                s[8] += error
                s[9] += error * f
                if f < 0:
                    s[10] += 1
                    s[12] += (y == 1.0) - (y == 0.0)
                else:
                    s[11] += 1
                    s[13] += (y == 1.0) - (y == 0.0)
            for t in range(helpful_tags):
                if (helpful_R[r] >> t) & 1:
                    tags_NT[n, t] += 1
            for t in range(total_tags - helpful_tags):
                if (not_helpful_R[r] >> t) & 1:
                    tags_NT[n, helpful_tags + t] += 1
            by_author[a, 1] += 1
            by_author[a, 2] += y
            by_author[a, 3] += y - earlier
            by_post[p, 1] += 1
            by_post[p, 2] += y
        row = rows[e]
        c = s[0]
        some = max(c, 1.0)
        row[0] = c
        row[1] = s[1] / some if c else prior
        row[2] = s[2] / (c + 1)
        big_a, big_d = s[5] + ridge_i, s[7] + ridge_f
        det = big_a * big_d - s[6] * s[6]
        row[3] = (big_d * s[8] - s[6] * s[9]) / det
        row[4] = (big_a * s[9] - s[6] * s[8]) / det
        row[5] = s[5]
        row[6] = np.sqrt(big_d / det)
        row[7] = s[10]
        row[8] = s[11]
        row[9] = s[12]
        row[10] = s[13]
        row[11] = min(s[12], s[13])
        row[12] = s[3] / some
        row[13] = np.log1p((at_E[e] - created_N[n]) / 3.6e6)
        row[14] = np.log1p((at_E[e] - last_N[n]) / 3.6e6)
        # the author and the post, without this note's own ratings
        others = by_author[a, 1] - c
        row[15] = by_author[a, 0] - 1
        row[16] = (by_author[a, 2] - s[1] + prior * weight) / (others + weight)
        row[17] = (by_author[a, 3] - s[2]) / (others + 3.0)
        beside = by_post[p, 1] - c
        row[18] = by_post[p, 0] - 1
        row[19] = (by_post[p, 2] - s[1] + prior * weight) / (beside + weight)
        row[20] = s[4] / some
        row[21] = not_misleading_N[n]
        row[22] = answer_R[r] if r >= 0 else prior
        for t in range(total_tags):
            row[width + t] = tags_NT[n, t] / (c + 1)
        last_N[n] = at_E[e]


_compiled_pass = compiled(_pass)


def _again(upto, note_R, rater_R, answer_R, order, parameters, by_note):
    """The sums that rest on rater parameters, made anew with today's, over all ratings up to ``upto`` in time order."""
    mu, intercept_P, factor_P, _, _ = parameters
    by_note[:, 5:14] = 0.0
    for i in range(upto):
        r = order[i]
        u = rater_R[r]
        f = factor_P[u]
        if np.isnan(f):
            continue
        s = by_note[note_R[r]]
        y = answer_R[r]
        error = y - mu - intercept_P[u]
        s[5] += 1
        s[6] += f
        s[7] += f * f
        s[8] += error
        s[9] += error * f
        if f < 0:
            s[10] += 1
            s[12] += (y == 1.0) - (y == 0.0)
        else:
            s[11] += 1
            s[13] += (y == 1.0) - (y == 0.0)


_compiled_again = compiled(_again)


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
        np.zeros((n_notes, 14)), np.zeros((n_notes, TAGS)), created_N.copy(),
        np.zeros((people, 2)), np.zeros((people + 1, 4)), np.zeros((int(post_N.max()) + 1, 3)),
    )  # fmt: skip
    rows = np.zeros((len(at), WIDTH))
    author_N = np.where(notes.author_N >= 0, notes.author_N, people).astype(np.int64)
    about = author_N, post_N.astype(np.int64), created_N, notes.not_misleading_N.astype(np.float64)
    out = rows, PRIOR_ANSWER, PRIOR_WEIGHT, len(HELPFUL_TAGS), len(NAMES), TAGS
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
        _compiled_pass((first, last, note, rating, at), ratings, about, parameters, state, out)
    return Walk(note, at, rows[:, 0].astype(np.int64), rows, rating)


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
