"""What ranks hold, share out and decide together."""

from collections.abc import Callable

import pytest
import torch
from parity_work import BATCH, LENGTH, curve, flipped, gathered_alike, skipped, unequal
from rank_pool import RankPool
from test_layout_parity import alone

from kolossos.train.watch.replicas import odd_ones


def test_each_rank_holds_a_part_and_all_have_equal_results(ranks: Callable[[int], RankPool]) -> None:
    whole = sum(value.numel() for value in alone("moe", "adamw", 3)["weights"].values())
    for layout, copies in (({"dp_shard": 2}, 1), ({"dp_replicate": 2}, 2)):
        first, second = ranks(2).run(curve, "moe", "adamw", layout, 3)
        assert first["held"] + second["held"] == copies * whole
        assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
        assert first["loss"] == second["loss"]


def test_a_matrix_that_is_cut_twice_along_one_dim_is_whole_again(ranks: Callable[[int], RankPool]) -> None:
    assert all(ranks(4).run(gathered_alike))


def test_tokens_of_a_batch_are_counted_once_however_unequal_the_shares(ranks: Callable[[int], RankPool]) -> None:
    first, second = ranks(2).run(unequal, [3, 1])
    assert first["tokens"] + second["tokens"] == BATCH * LENGTH
    assert first["tokens"] == 3 * second["tokens"]
    assert first["loss"] == pytest.approx(alone("moe", "adamw", 3)["loss"], rel=1e-5)


@pytest.mark.parametrize("layout", [{"dp_shard": 2}, {"tp": 2}, {"pp": 2}], ids=str)
def test_a_nan_of_one_rank_is_skipped_by_all(layout: dict[str, int], ranks: Callable[[int], RankPool]) -> None:
    assert all(ranks(2).run(skipped, layout))


def test_a_flipped_bit_names_its_rank(ranks: Callable[[int], RankPool]) -> None:
    assert ranks(2).run(flipped, {"dp_replicate": 2}, None) == [None] * 2
    for said in ranks(2).run(flipped, {"dp_replicate": 2}, 1):
        assert "rank 0 on" in said
        assert "rank 1 on" in said
        assert "too few are alike" in said
    for said in ranks(4).run(flipped, {"dp_replicate": 4}, 2):
        assert said.startswith("silent corruption: rank 2 on ")
        assert "rank 0" not in said
    assert ranks(4).run(flipped, {"dp_replicate": 2, "dp_shard": 2}, None) == [None] * 4


def test_the_majority_of_each_part_is_right() -> None:
    held = [(0, "a", "n0"), (1, "x", "n1"), (0, "a", "n2"), (1, "y", "n3"), (0, "b", "n4"), (1, "x", "n5")]
    found = odd_ones(held)
    assert found is not None
    assert (found.ranks, found.sure) == ([(4, "n4"), (3, "n3")], True)
    assert odd_ones([(part, str(part), host) for part, _, host in held]) is None
