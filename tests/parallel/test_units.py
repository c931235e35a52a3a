"""Which replica computes what when some are away."""

from hypothesis import given
from hypothesis import strategies as st

from kolossos.parallel.units import units_of


@st.composite
def situations(draw):
    shares = draw(st.integers(1, 9))
    members = sorted(draw(st.sets(st.integers(0, shares - 1), min_size=1)))
    return members, shares, draw(st.integers(1, 7))


@given(situations())
def test_every_unit_is_computed_once_by_a_member_and_its_own_by_itself(situation) -> None:
    members, shares, passes = situation
    units = units_of(members, shares, passes)
    everything = [unit for line in units.values() for unit in line]
    assert sorted(everything) == [(number, share) for number in range(passes) for share in range(shares)]
    assert set(units) == set(members)
    for member, line in units.items():
        assert [number for number, share in line if share == member] == list(range(passes))


@given(situations())
def test_the_shares_of_the_absent_are_spread_evenly(situation) -> None:
    members, shares, passes = situation
    loads = [len(line) for line in units_of(members, shares, passes).values()]
    assert max(loads) - min(loads) <= 1


def test_with_all_there_each_has_its_own() -> None:
    assert units_of([0, 1], 2, 3) == {0: [(0, 0), (1, 0), (2, 0)], 1: [(0, 1), (1, 1), (2, 1)]}
