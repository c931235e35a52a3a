"""What ranks hold, share out and decide together."""

from collections.abc import Callable

import pytest
import torch
from parity_work import BATCH, LENGTH, curve, gathered_alike, skipped, unequal
from rank_pool import RankPool
from test_layout_parity import alone


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
