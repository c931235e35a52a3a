"""Makers in whole numbers: bounds against arbitrary precision, and money that is always there."""

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.notes.market.fixed_point import BITS, exp_up, log_up
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.market.pool import NO, YES, Order, Pool

mpmath.mp.prec = 400
TRADES = st.lists(
    st.tuples(st.sampled_from(["buy", "sell", "against"]), st.integers(0, 4), st.integers(1, 10**7)), max_size=12
)


@given(st.integers(-(10**7), 10**7), st.integers(1, 10**6))
def test_the_exponential_is_never_below_and_hardly_above(numerator: int, denominator: int) -> None:
    if abs(numerator) > denominator << 20:
        return
    mantissa, exponent = exp_up(numerator, denominator)
    ratio = mpmath.mpf(mantissa) * mpmath.mpf(2) ** (exponent - BITS) / mpmath.exp(mpmath.mpf(numerator) / denominator)
    assert 1 <= ratio <= 1 + mpmath.mpf(2) ** -70


@given(st.integers(1 << BITS, 1 << (BITS + 60)))
def test_the_logarithm_is_never_below_and_hardly_above(value: int) -> None:
    over = mpmath.mpf(log_up(value)) / 2**BITS - mpmath.log(mpmath.mpf(value) / 2**BITS)
    assert 0 <= over <= mpmath.mpf(2) ** -85


def c_of(market: Lmsr) -> mpmath.mpf:
    b = mpmath.mpf(market.b)
    inside = sum(w * mpmath.exp(q / b) for w, q in zip(market.weights, market.quantities, strict=True))
    return b * mpmath.log(inside / market.whole_weight)


@given(st.integers(10**3, 10**7), st.lists(st.integers(1, 1000), min_size=2, max_size=5), TRADES)
def test_the_escrow_pays_whatever_comes_true(b: int, weights: list[int], trades: list[tuple[str, int, int]]) -> None:
    market = Lmsr(b, weights)
    escrow = market.funding()
    for kind, outcome, units in trades:
        outcome %= len(weights)
        before = c_of(market) + market.sets
        try:
            move = getattr(market, kind)(outcome, units)
        except InputError:
            continue  # more than the market can carry
        escrow += market.apply(move)
        exact = c_of(market) + market.sets - before
        assert exact - mpmath.mpf(2) ** -20 <= move.amount <= exact + 2  # towards the maker, by little
        assert escrow >= market.most_owed()
        assert sum(market.prices()) == pytest.approx(1.0)


@given(st.integers(10**3, 10**7), st.integers(1, 10**6), st.integers(0, 2))
def test_a_purchase_and_the_same_sale_never_gain(b: int, units: int, outcome: int) -> None:
    market = Lmsr(b, [1, 2, 3])
    paid = market.apply(market.buy(outcome, units))
    assert paid + market.apply(market.sell(outcome, units)) >= 0


@given(st.integers(1, 999_999), st.integers(1, 10**6))
def test_a_new_candidate_moves_no_other_price(share_ppm: int, units: int) -> None:
    market = Lmsr(10**6, [5, 3, 2])
    market.apply(market.buy(0, units))
    before = market.prices()
    new = market.split(2, share_ppm)
    after = market.prices()
    assert after[:2] == pytest.approx(before[:2], rel=1e-12)
    assert after[2] + after[new] == pytest.approx(before[2], rel=1e-12)


@given(st.integers(1, 10**6))
def test_a_market_is_made_again_from_its_state_to_the_bit(units: int) -> None:
    market = Lmsr(10**6, [1, 4])
    market.apply(market.buy(1, units))
    again = Lmsr(**market.state())
    assert again.state() == market.state()
    assert again.buy(0, 7) == market.buy(0, 7)


def test_money_that_is_no_whole_number_is_refused() -> None:
    market = Lmsr(10**6, [1, 1])
    for units in (0, -1, 1.0, True, "1", 10**16):
        with pytest.raises(InputError):
            market.buy(0, units)  # type: ignore[arg-type]


ORDERS = st.lists(st.tuples(st.sampled_from([YES, NO]), st.integers(1, 999_999), st.integers(1, 10**6)), max_size=6)
PURCHASES = st.lists(st.tuples(st.sampled_from([YES, NO]), st.integers(1, 10**6)), max_size=6)


@settings(max_examples=60)
@given(st.integers(10**4, 10**8), st.integers(10_000, 990_000), ORDERS, PURCHASES)
def test_a_pool_pays_either_answer_and_its_product_never_falls(
    funding: int, price_ppm: int, orders: list[tuple[int, int, int]], purchases: list[tuple[int, int]]
) -> None:
    pool = Pool.opened(funding, price_ppm)
    held = {YES: 0, NO: 0}
    escrow = funding
    for number, (side, price, units) in enumerate(orders):
        pool.rest(Order(number, f"maker {number}", side, price, units))
    for side, units in purchases:
        product = pool.reserves[0] * pool.reserves[1]
        plan = pool.plan(side, "buyer", units=units)
        pool.apply(plan)
        paid_by_orders = sum(fill.paid for fill in plan.fills)
        escrow += plan.cost + paid_by_orders
        held[side] += plan.units
        held[1 - side] += sum(fill.units for fill in plan.fills)
        assert pool.reserves[0] * pool.reserves[1] >= product
        for answer in (YES, NO):
            assert held[answer] + pool.makers(answer) <= escrow


def test_orders_are_met_by_price_and_then_by_who_came_first() -> None:
    pool = Pool.opened(10**6, 500_000)
    for number, price in enumerate((600_000, 700_000, 700_000)):
        pool.rest(Order(number, f"user {number}", NO, price, 1000))
    plan = pool.plan(YES, "buyer", units=1500)
    assert [(fill.order.number, fill.units) for fill in plan.fills] == [(1, 1000), (2, 500)]
