"""Nothing of the future is in what a bot sees or learns."""

from dataclasses import replace

import numpy as np
import pytest

from kolossos.notes.bots.panel import fit_panel
from kolossos.notes.bots.walk import ALL_NAMES, COLUMN, WIDTH, walk
from kolossos.notes.replay.labels import PILOT, SCORER, labels_then, pilot_labels
from kolossos.notes.replay.past import past_of
from kolossos.notes.score.columns import World


@pytest.fixture(scope="module")
def post_N(world: World) -> np.ndarray:
    return np.arange(len(world.notes)) // 2


def middle(world: World) -> float:
    return float(np.median(world.ratings.created_R))


def other_future(world: World, moment: float) -> World:
    """The same world up to ``moment``; later answers, tags and statuses are others."""
    later = world.ratings.created_R >= moment
    ratings = replace(
        world.ratings,
        answer_R=np.where(later, 1.0 - world.ratings.answer_R, world.ratings.answer_R),
        helpful_tags_R=np.where(later, 0, world.ratings.helpful_tags_R).astype(world.ratings.helpful_tags_R.dtype),
    )
    decided = world.notes.latest_decision_N >= moment
    notes = replace(world.notes, current_status_N=np.where(decided, "", world.notes.current_status_N))
    return replace(world, ratings=ratings, notes=notes)


def test_another_future_changes_no_row_and_no_label_of_the_past(world: World, post_N: np.ndarray) -> None:
    moment = middle(world)
    one, other = walk(world, post_N), walk(other_future(world, moment), post_N)
    past = one.at_E < moment
    assert past.sum() > 1_000
    np.testing.assert_array_equal(one.rows_EK[past], other.rows_EK[past])
    assert not np.array_equal(one.rows_EK[~past], other.rows_EK[~past])
    for rule in (PILOT, SCORER):
        np.testing.assert_array_equal(
            labels_then(rule, world, moment), labels_then(rule, other_future(world, moment), moment)
        )


def test_forecasts_of_the_past_are_the_same_bits_whatever_comes(world: World, post_N: np.ndarray) -> None:
    moment = middle(world)
    found = []
    for played in (world, other_future(world, moment)):
        walked = walk(played, post_N)
        known = labels_then(PILOT, played, moment)
        panel = fit_panel(walked, known, played.notes.created_N, moment)
        found.append(panel.log_odds(walked.rows_EK[walked.at_E < moment]))
    np.testing.assert_array_equal(*found)


def test_rows_count_what_was_given(world: World, post_N: np.ndarray) -> None:
    walked = walk(world, post_N)
    assert walked.rows_EK.shape == (len(world.ratings) + len(world.notes), WIDTH)
    assert len(ALL_NAMES) == WIDTH
    last = {int(note): row for note, row in zip(walked.note_E, walked.rows_EK, strict=True)}
    for note in range(0, len(world.notes), 37):
        answers = world.ratings.answer_R[world.ratings.note_R == note]
        row = last[note]
        assert row[COLUMN["n"]] == len(answers)
        if len(answers):
            assert row[COLUMN["mean"]] == pytest.approx(answers.mean())
    labels = pilot_labels(world)
    assert np.isnan(labels[np.bincount(world.ratings.note_R, minlength=len(world.notes)) < 5]).all()


def test_a_world_of_the_past_holds_nothing_later(world: World) -> None:
    moment = middle(world)
    then = past_of(world, moment)
    assert (then.ratings.created_R < moment).all()
    assert not then.notes.listed_N[then.notes.created_N >= moment].any()
    decided = then.notes.current_status_N != ""
    assert (then.notes.latest_decision_N[decided] < moment).all()
