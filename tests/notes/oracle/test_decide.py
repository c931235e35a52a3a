"""What is shown: by what a price was over time, never by a moment of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.errors import InputError
from kolossos.notes.decide import HELPFUL, NOT_HELPFUL, Policy, decide, held_out, worth_of_rating
from kolossos.notes.ledger.path import MINUTE, PricePath

START = 1_700_000_012_345
ALL = Policy(holdout_ppm=0)


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(0, 1_000_000)), max_size=30), st.integers(0, 10**6))
def test_averages_and_quantiles_agree_with_a_count_by_the_millisecond(steps, more) -> None:
    path, at, price = PricePath(START, [500_000]), START, 500_000
    pieces = []
    for wait, new in steps:
        pieces.append((wait, price))
        at += wait
        path.move(at, [new])
        price = new
    pieces.append((more, price))
    at += more
    total = sum(wait for wait, _ in pieces)
    if total:
        assert path.averages(at) == [sum(wait * p for wait, p in pieces) // total]
        assert sum(length for length, _ in path.by_minute(0, at, 10**9)) == total
    assert PricePath.restored(path.state()).state() == path.state()
    low, high = path.quantile(0, at, 10**9, 100_000), path.quantile(0, at, 10**9, 900_000)
    assert low <= high


def standing(*stretches: tuple[int, int]) -> tuple[PricePath, int]:
    """A path that stood at each price for so many minutes, and the moment after."""
    path, at = PricePath(START, [stretches[0][1]]), START
    for minutes, price in stretches:
        path.move(at, [price])
        at += minutes * MINUTE
    return path, at


def test_a_price_must_stand_and_a_flash_of_either_kind_is_nothing() -> None:
    assert decide(ALL, "n", *standing((60, 900_000))).shown
    assert not decide(ALL, "n", *standing((60, 300_000), (1, 999_000))).shown
    assert not decide(ALL, "n", *standing((5, 950_000))).shown  # too young
    path, at = standing((60, 900_000))
    path.move(at, [10_000])
    path.move(at + 50, [900_000])  # pushed down for 50 ms
    assert decide(ALL, "n", path, at + MINUTE).shown


def test_shown_until_it_falls_lower_than_where_it_was_shown_or_the_time_is_over() -> None:
    path, at = standing((60, 700_000))
    assert not decide(ALL, "n", path, at).shown
    assert decide(ALL, "n", path, at, shown_since=at - MINUTE).shown
    fallen = decide(ALL, "n", *standing((60, 900_000), (40, 500_000)), shown_since=START)
    assert not fallen.shown
    assert "stood below 0.60" in fallen.why
    assert not decide(ALL, "n", *standing((2_000, 990_000)), shown_since=START).shown


def test_a_verdict_and_a_rejection_outweigh_every_price() -> None:
    high, low = standing((60, 990_000)), standing((60, 10_000))
    assert not decide(ALL, "n", *high, verdict=NOT_HELPFUL).shown
    assert decide(ALL, "n", *low, verdict=HELPFUL).shown
    assert not decide(ALL, "n", *high, rejected=True).shown


def test_the_hold_out_is_a_tenth_and_the_same_at_all_times() -> None:
    policy = Policy()
    apart = [held_out(policy, f"n{i}") for i in range(5_000)]
    assert apart == [held_out(policy, f"n{i}") for i in range(5_000)]
    assert 0.085 < sum(apart) / 5_000 < 0.115
    kept = f"n{apart.index(True)}"
    decision = decide(policy, kept, *standing((60, 990_000)))
    assert (decision.shown, decision.held_out, decision.propensity_ppm) == (False, True, 900_000)


def test_the_next_rating_is_worth_most_near_the_threshold_and_where_there_are_few() -> None:
    assert worth_of_rating(700_000, 3, ALL) > worth_of_rating(700_000, 20, ALL)
    assert worth_of_rating(700_000, 3, ALL) > worth_of_rating(20_000, 3, ALL) > worth_of_rating(0, 3, ALL)


@pytest.mark.parametrize(
    "bad", [{"entry_ppm": 2_000_000}, {"exit_ppm": 900_000}, {"window": 10}, {"window": -1}, {"quantile_ppm": 0.5}]
)
def test_a_policy_that_makes_no_sense_is_one_line(bad: dict) -> None:
    with pytest.raises(InputError, match="the policy"):
        Policy(**bad)
