"""The seeded shuffle is a bijection of any length and looks like a shuffle."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kolossos.data.corpus.permutation import Permutation


@given(length=st.integers(1, 3000), seed=st.integers(), epoch=st.integers(0, 10))
def test_every_position_goes_to_its_own_place(length: int, seed: int, epoch: int) -> None:
    places = Permutation(length, seed, epoch)(np.arange(length))
    assert sorted(places.tolist()) == list(range(length))


@given(
    length=st.integers(1, 1 << 62), positions=st.lists(st.integers(0, (1 << 62) - 1), max_size=20), seed=st.integers()
)
def test_each_element_depends_on_itself_only(length: int, positions: list[int], seed: int) -> None:
    positions = [position % length for position in positions]
    shuffle = Permutation(length, seed)
    together = shuffle(np.array(positions, dtype=np.int64))
    assert together.tolist() == [int(shuffle(np.array(position))) for position in positions]
    assert len(set(together.tolist())) == len(set(positions))
    assert all(0 <= place < length for place in together)


def test_places_are_spread_evenly_and_differ_by_seed() -> None:
    length = 10_000
    first, second = (Permutation(length, seed)(np.arange(length)) for seed in (1, 2))
    assert abs(np.corrcoef(np.arange(length), first)[0, 1]) < 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05
    assert abs(np.diff(first)).mean() > length / 4  # neighbours are torn apart: n / 3 expected
