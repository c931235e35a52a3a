"""Who works on which sequences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.parallel.coordinates import AXES, coordinates_of
from kolossos.parallel.shares import share_of_batch, share_of_rank
from kolossos.specs.layout import Layout


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    degrees = {axis: draw(st.integers(1, 3)) for axis in AXES}
    micro, passes = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    data_parallel = degrees["dp_shard"] * degrees["dp_replicate"]
    return Layout(**degrees, micro_batch_size=micro, global_batch_size=micro * passes * data_parallel)


@given(layouts())
def test_equal_shares_cover_every_sequence_once_in_micro_batches_of_the_layout(layout: Layout) -> None:
    shares = [share_of_batch(layout, which) for which in range(layout.data_parallel)]
    seen = sorted(i for share in shares for sequences in share for i in sequences)
    assert seen == list(range(layout.global_batch_size))
    assert {len(sequences) for share in shares for sequences in share} == {layout.micro_batch_size}
    assert {len(share) for share in shares} == {layout.accumulation_steps}


@given(layouts(), st.data())
def test_unequal_shares_cut_the_same_passes_in_proportion(layout: Layout, data: st.DataObject) -> None:
    together = layout.micro_batch_size * layout.data_parallel
    weights = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    try:
        shares = [share_of_batch(layout, which, weights) for which in range(len(weights))]
    except ValueError:
        assert min(weights) * together < sum(weights)  # less than one sequence
        return
    for number in range(layout.accumulation_steps):
        seen = [i for share in shares for i in share[number]]
        assert seen == list(range(number * together, (number + 1) * together))
        for share, weight in zip(shares, weights, strict=True):
            assert abs(len(share[number]) - weight * together / sum(weights)) <= 1


@given(layouts())
def test_coordinates_are_one_to_one_and_only_data_axes_change_the_share(layout: Layout) -> None:
    places = [coordinates_of(layout, rank) for rank in range(layout.world_size)]
    assert len({tuple(place.values()) for place in places}) == layout.world_size
    assert places[0] == dict.fromkeys(AXES, 0)
    by_place: dict[tuple[int, int], list[list[range]]] = {}
    for rank, place in enumerate(places):
        by_place.setdefault((place["dp_replicate"], place["dp_shard"]), []).append(share_of_rank(layout, rank))
    assert all(share == shares[0] for shares in by_place.values() for share in shares)
    assert len({str(shares[0]) for shares in by_place.values()}) == layout.data_parallel


def test_a_share_without_a_sequence_is_refused() -> None:
    layout = Layout(dp_shard=2, micro_batch_size=1, global_batch_size=4)
    with pytest.raises(ValueError, match="empty"):
        share_of_batch(layout, 0, [9, 1])
    with pytest.raises(ValueError, match="rank 2"):
        share_of_rank(layout, 2)
