"""The fit is a minimum of the official objective, the same to the bit however it is asked for."""

import numpy as np
import pytest

from kolossos.notes.score.columns import World
from kolossos.notes.score.judge import in_model
from kolossos.notes.score.models.factorisation import Fit, Start, fit
from kolossos.notes.score.models.filters import enough_ratings, steady_ratings


def objective(rows: tuple[np.ndarray, ...], mu: float, parameters: list[np.ndarray]) -> float:
    """The official objective, written down once more: a mean error and means of squares."""
    note, rater, answer = rows
    i_n, f_n, i_u, f_u = parameters
    error = answer - mu - i_u[rater] - i_n[note] - f_u[rater] * f_n[note]
    means = [np.nanmean(values**2) for values in parameters]
    return float(np.mean(error**2) + 0.15 * (mu**2 + means[0] + means[2]) + 0.03 * (means[1] + means[3]))


def parameters(fitted: Fit) -> list[np.ndarray]:
    return [fitted.note_intercept_N, fitted.note_factor_N, fitted.rater_intercept_P, fitted.rater_factor_P]


@pytest.fixture(scope="module")
def rows(world: World) -> tuple[np.ndarray, ...]:
    training = enough_ratings(in_model(world), len(world.notes), len(world.participants))
    return training.note_R, training.rater_R, training.answer_R


@pytest.fixture(scope="module")
def fitted(world: World, rows: tuple[np.ndarray, ...]) -> Fit:
    return fit(*rows, (len(world.notes), len(world.participants)))


def test_the_reported_loss_is_the_objective(fitted: Fit, rows: tuple[np.ndarray, ...]) -> None:
    assert fitted.loss == pytest.approx(objective(rows, fitted.mu, parameters(fitted)), abs=1e-12)


def test_no_small_step_in_any_direction_lowers_the_loss(fitted: Fit, rows: tuple[np.ndarray, ...]) -> None:
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 1e-1):
        for _ in range(10):
            moved = [p + size * rng.normal(size=len(p)) for p in parameters(fitted)]
            assert objective(rows, fitted.mu + size * rng.normal(), moved) > fitted.loss


def test_the_gradient_vanishes(fitted: Fit, rows: tuple[np.ndarray, ...]) -> None:
    note, rater, answer = rows
    i_n, f_n, i_u, f_u = parameters(fitted)
    error = answer - fitted.mu - i_u[rater] - i_n[note] - f_u[rater] * f_n[note]
    of_factor = -2 * np.bincount(note, error * f_u[rater], len(i_n)) / len(note) + 2 * 0.03 * f_n / fitted.notes
    of_intercept = -2 * np.bincount(rater, error, len(i_u)) / len(note) + 2 * 0.15 * i_u / fitted.raters
    assert np.nanmax(np.abs(of_factor)) < 5e-8
    assert np.nanmax(np.abs(of_intercept)) < 5e-8
    assert abs(-2 * error.mean() + 2 * 0.15 * fitted.mu) < 1e-6


def test_order_of_rows_start_and_reruns_do_not_matter(world: World, fitted: Fit, rows: tuple[np.ndarray, ...]) -> None:
    sizes = (len(world.notes), len(world.participants))
    shuffled = np.random.default_rng(1).permutation(len(rows[0]))
    again = fit(*(column[shuffled] for column in rows), sizes)
    for mine, other in zip(parameters(fitted), parameters(again), strict=True):
        assert mine.tobytes() == other.tobytes()
    rng = np.random.default_rng(2)
    start = Start(0.3, rng.normal(0, 0.2, sizes[1]), rng.normal(0, 0.5, sizes[1]))
    elsewhere = fit(*rows, sizes, start)
    assert elsewhere.loss == pytest.approx(fitted.loss, abs=1e-10)
    for mine, other in zip(parameters(fitted), parameters(elsewhere), strict=True):
        assert np.nanmax(np.abs(mine - other)) < 1e-5


def test_at_least_half_of_the_raters_are_on_the_negative_side(fitted: Fit) -> None:
    factors = fitted.rater_factor_P[~np.isnan(fitted.rater_factor_P)]
    assert (factors < 0).sum() >= (factors > 0).sum()


def test_the_filter_runs_once_and_not_to_convergence() -> None:
    from kolossos.notes.score.columns import Ratings

    # Of note 0's five raters one rates nothing else and goes; note 0 goes too, its raters stay: they rate 10 others.
    pairs = [(0, r) for r in range(5)] + [(n, r) for n in range(1, 11) for r in (0, 1, 2, 3, 5)]
    note, rater = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    empty = np.zeros(len(note))
    bits = empty.astype(np.uint16)
    ratings = Ratings(note, rater, empty, empty, bits, bits, empty > 0, empty > 0, empty > 0)
    kept = enough_ratings(ratings, 11, 6)
    assert set(kept.note_R.tolist()) == set(range(1, 11))
    assert set(kept.rater_R.tolist()) == {0, 1, 2, 3, 5}


def test_the_steady_group_is_most_of_its_notes(world: World) -> None:
    training = enough_ratings(in_model(world), len(world.notes), len(world.participants))
    steady = steady_ratings(training, len(world.notes), world.participants)
    assert len(steady)
    assert (world.participants.group_P[steady.rater_R] == 13).all()
    for note in np.unique(steady.note_R)[:20]:
        of_note = training.rater_R[training.note_R == note]
        enrolled = of_note[world.participants.enrolled_P[of_note]]
        assert (world.participants.group_P[enrolled] == 13).mean() >= 0.75
        assert len(enrolled) >= 5


def test_no_ratings_are_no_fit() -> None:
    nothing = np.zeros(0, np.int32)
    with pytest.raises(ValueError, match="no ratings"):
        fit(nothing, nothing, np.zeros(0), (3, 3))


def test_official_steps_come_near_the_minimum_and_stop_above_it(
    world: World, fitted: Fit, rows: tuple[np.ndarray, ...]
) -> None:
    from kolossos.notes.score.models.steps import fit_by_steps

    sizes = (len(world.notes), len(world.participants))
    half = fit(*(column[::2] for column in rows), sizes)
    stepped, again = fit_by_steps(*rows, sizes, half), fit_by_steps(*rows, sizes, half)
    assert fitted.loss < stepped.loss < fitted.loss + 1e-3
    assert stepped.loss == pytest.approx(objective(rows, stepped.mu, parameters(stepped)), abs=1e-12)
    assert stepped.sweeps >= 50
    for mine, other in zip(parameters(stepped), parameters(again), strict=True):
        assert mine.tobytes() == other.tobytes()


def test_plain_sweeps_stop_where_they_are_told_and_not_below_the_minimum(
    world: World, fitted: Fit, rows: tuple[np.ndarray, ...]
) -> None:
    sizes = (len(world.notes), len(world.participants))
    losses = [fit(*rows, sizes, loss_change=change).loss for change in (1e-6, 1e-9, 1e-12)]
    assert losses[0] > losses[1] > losses[2] >= fitted.loss - 1e-15
    assert losses[2] - fitted.loss < 1e-10
