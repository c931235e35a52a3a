"""The final round's closed form is the minimum of each note's own problem, as a batch and as a stream."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.notes.score.columns import World
from kolossos.notes.score.final_round import RaterParameters, final_ratings, pseudo_rater_bounds, solve_notes
from kolossos.notes.score.judge import in_model
from kolossos.notes.score.run import Scoring
from kolossos.notes.score.streaming import Stream


def ridge(error: np.ndarray, factor: np.ndarray, k: float) -> np.ndarray:
    """The note's problem as least squares with two rows that stand for the penalties."""
    rows = np.column_stack([np.ones(len(factor)), factor])
    penalties = np.diag(np.sqrt([0.15 * k, 0.03 * k]))
    answer = np.concatenate([error, np.zeros(2)])
    return np.linalg.lstsq(np.vstack([rows, penalties]), answer, rcond=None)[0]


def test_every_note_solves_its_own_least_squares(world: World, scoring: Scoring) -> None:
    raters, ratings = scoring.prescoring.frozen.raters, in_model(world)
    used = final_ratings(ratings, len(world.notes), raters)
    solved = solve_notes(ratings, len(world.notes), raters)
    for note in np.unique(used.note_R):
        rows = used.note_R == note
        factor = raters.factor_P[used.rater_R[rows]]
        error = used.answer_R[rows] - raters.mu - raters.intercept_P[used.rater_R[rows]]
        intercept, slope = ridge(error, factor, raters.ratings_per_note)
        assert solved.intercept_N[note] == pytest.approx(intercept, abs=1e-10)
        assert solved.factor_N[note] == pytest.approx(slope, abs=1e-10)
    assert np.isnan(solved.intercept_N[np.setdiff1d(np.arange(len(world.notes)), used.note_R)]).all()


def test_notes_are_counted_before_raters_are_dropped(world: World, scoring: Scoring) -> None:
    raters, ratings = scoring.prescoring.frozen.raters, in_model(world)
    count = np.bincount(ratings.note_R, minlength=len(world.notes))
    used = final_ratings(ratings, len(world.notes), raters)
    kept = np.bincount(used.note_R, minlength=len(world.notes))
    assert ((kept > 0) & (kept < 5) & (count >= 5)).any()
    assert not (kept[count < 5] > 0).any()


def test_the_bound_is_that_of_really_adding_the_rating(world: World, scoring: Scoring) -> None:
    raters, ratings, size = scoring.prescoring.frozen.raters, in_model(world), len(world.notes)
    used = final_ratings(ratings, size, raters)
    bounds = pseudo_rater_bounds(ratings, size, raters)
    present = np.unique(used.rater_R)
    lowest = raters.intercept_P[present].min()
    k = len(used) / len(np.unique(used.note_R)) + 1
    for note in np.unique(used.note_R)[:25]:
        rows = used.note_R == note
        factor = raters.factor_P[used.rater_R[rows]]
        error = used.answer_R[rows] - raters.mu - raters.intercept_P[used.rater_R[rows]]
        found = [ridge(error, factor, k - 1)[0]]
        for extreme in (raters.factor_P[present].min(), 0.0, raters.factor_P[present].max()):
            found.append(ridge(np.append(error, 1 - raters.mu - lowest), np.append(factor, extreme), k)[0])
        assert bounds.highest_N[note] == pytest.approx(max(found), abs=1e-10)
        assert bounds.lowest_N[note] == pytest.approx(min(found), abs=1e-10)


def test_the_stream_ends_where_the_batch_is(world: World, scoring: Scoring) -> None:
    raters, ratings, size = scoring.prescoring.frozen.raters, in_model(world), len(world.notes)
    stream = Stream(raters, size)
    order = np.argsort(ratings.created_R, kind="stable")
    scores = stream.apply(ratings.note_R[order], ratings.rater_R[order], ratings.answer_R[order])
    intercept, factor = stream.scores()
    solved = solve_notes(ratings, size, raters)
    np.testing.assert_allclose(intercept, solved.intercept_N, atol=1e-11)
    np.testing.assert_allclose(factor, solved.factor_N, atol=1e-11)
    last = {int(n): k for k, n in enumerate(ratings.note_R[order])}
    for note, k in last.items():
        assert np.array_equal(scores.intercept_R[k], intercept[note], equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_order_and_what_is_taken_back_leave_the_same_bits(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    raters = RaterParameters(
        rng.normal(0.1, 0.1, 9), rng.normal(0, 0.5, 9), rng.random(9) < 0.8, np.zeros(9), np.zeros(9), 0.14, 30.0
    )
    pairs = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=40, unique=True))
    rows = [(n, u, float(rng.choice([0.0, 0.5, 1.0]))) for n, u in pairs]
    removed = rows[: len(rows) // 2]
    plain, busy = Stream(raters, 4), Stream(raters, 4)
    for row in rows[len(rows) // 2 :]:
        plain.add(*row)
    for k in rng.permutation(len(rows)):
        busy.add(*rows[k])
    for row in removed:
        busy.remove(*row)
    for mine, other in zip(plain.scores(), busy.scores(), strict=True):
        assert mine.tobytes() == other.tobytes()
