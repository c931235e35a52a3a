"""Models at their minimum, stakes that come to rest, money that is conserved, figures against hand counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.notes.bots.logistic import fit, fit_chosen, log_loss, probability
from kolossos.notes.bots.stake import Staking, bet, limits, resting_log_odds
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.replay.measure import (
    average_precision,
    brier_parts,
    calibration_error,
    compare,
    precision_at_recall,
)
from kolossos.notes.replay.trade import trade

B = 1_000_000


def drawn(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 4))
    return x, (draw.random(rows) < probability(x[:, 0] - 0.5 * x[:, 1] - 1)).astype(float)


@pytest.mark.parametrize("penalty", [0.1, 10.0, 1000.0])
def test_a_fit_is_at_the_minimum_of_its_objective(penalty: float) -> None:
    x, y = drawn(1)
    model = fit(x, y, penalty)
    z = (x - model.mean_K) / model.scale_K
    residual = probability(z @ model.weights_K + model.intercept) - y
    np.testing.assert_allclose(z.T @ residual + penalty * model.weights_K, 0, atol=1e-3)
    assert residual.sum() == pytest.approx(0, abs=1e-3)


def test_a_correction_that_has_nothing_to_learn_from_leaves_its_base_as_it_is() -> None:
    x, y = drawn(2)
    base = fit_chosen(x[:, :2], y, np.arange(len(y)))
    noise = np.random.default_rng(3).normal(size=(len(y), 3))
    corrected = fit_chosen(noise, y, np.arange(len(y)), base_CE=base.base_CE)
    assert np.abs(corrected.model.log_odds(noise)).max() < 0.25
    judged = ~np.isnan(base.chained_E)
    assert 0.5 < judged.mean() < 0.7  # the first rows have nothing before them


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-9, 9), st.floats(1e4, 1e8)), min_size=1, max_size=6),
    st.floats(-4, 4),
    st.integers(0, 720),
)
def test_in_whatever_order_they_trade_the_price_comes_to_rest_where_it_was_said(bots, opening, order) -> None:
    yes = round(1_000_000 / (1 + math.exp(-opening)))
    market = Lmsr(B, [yes, 1_000_000 - yes])
    opening = math.log(yes / (1_000_000 - yes))
    forecasts, stakes = [f for f, _ in bots], [s for _, s in bots]
    bounds = [limits(4 * s, 0, 0) for s in stakes]
    rests = resting_log_odds(opening, B, forecasts, stakes, bounds)
    spent = 0
    for i in np.random.default_rng(order).permutation(len(bots)).tolist():
        wish = bet(forecasts[i], rests, stakes[i], 0, bounds[i])
        assert bounds[i][0] <= wish <= bounds[i][1]
        if wish:
            amount = market.apply(market.buy(0 if wish > 0 else 1, abs(wish)))
            assert amount <= 4 * stakes[i]
            spent += amount
    price = market.price(0)
    if 1e-6 < price < 1 - 1e-6:
        assert math.log(price / (1 - price)) == pytest.approx(rests, abs=1e-3 + len(bots) / B)
    assert spent + market.funding() >= market.most_owed()


def test_what_the_bots_win_is_what_the_makers_lose_and_a_void_market_costs_nobody() -> None:
    draw = np.random.default_rng(5)
    note_E = draw.integers(0, 12, 400)
    truth = draw.integers(0, 2, 12).astype(float)
    log_odds = (truth[note_E] * 2 - 1)[:, None] + draw.normal(size=(400, 3))
    ends = np.zeros(400, int), np.arange(0)
    traded = trade(note_E, log_odds, 0.3, truth, ends)
    assert traded.trades > 100
    assert traded.wealth_B.sum() - 3 * 10_000_000_000 == traded.subsidy
    assert traded.subsidy <= traded.bound
    void = trade(note_E, log_odds, 0.3, np.full(12, np.nan), ends)
    assert (void.wealth_B == 10_000_000_000).all()
    right = np.sign(traded.price_E[-100:] - 0.5) == np.sign(truth[note_E[-100:]] - 0.5)
    assert right.mean() > 0.9


def test_figures_agree_with_counts_by_hand() -> None:
    p, y = np.array([0.9, 0.8, 0.3, 0.3, 0.1]), np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    assert precision_at_recall(p, y, 0.5) == 1.0
    assert precision_at_recall(p, y, 1.0) == 0.5  # the two forecasts of 0.3 are taken together
    assert average_precision(p, y) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert calibration_error(np.array([0.25, 0.25, 0.85, 0.85]), np.array([0, 1, 1, 1])) == pytest.approx(0.2)
    binned, hits = np.array([0.25] * 4 + [0.75] * 4), np.array([0, 0, 0, 1, 1, 1, 0, 1.0])
    parts = brier_parts(binned, hits)
    whole = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
    assert whole == pytest.approx(((binned - hits) ** 2).mean())
    assert log_loss(np.array([0.0]), np.array([1.0]))[0] == pytest.approx(-math.log(1e-4))


def test_intervals_are_over_posts_and_the_same_twice() -> None:
    draw = np.random.default_rng(1)
    y = (draw.random(200) < 0.3).astype(float)
    forecasts = {"a": np.full(200, 0.3), "b": np.clip(y * 0.4 + 0.1, 0, 1)}
    alone, together = (compare(forecasts, y, posts, "a") for posts in (np.arange(200), np.arange(200) // 20))
    again = compare(forecasts, y, np.arange(200), "a")
    assert again == alone
    _, high = alone["forecasters"]["b"]["brier_less_a_95"]
    assert high < 0
    assert alone["notes"] == together["notes"] == 200


@pytest.mark.parametrize("habits", [{"fraction": 0}, {"fraction": 2}, {"slice": 0}, {"slice": 1.5}])
def test_a_bot_that_would_bet_more_than_it_has_is_refused(habits: dict) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        Staking(**habits)
