"""A checkpoint written under one layout goes on under any other, on the curve of one rank."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parity_work import resume, save
from rank_pool import RankPool
from test_layout_parity import alone, name_of, world

LAYOUTS: list[dict[str, Any]] = [{}, {"dp_shard": 2}, {"tp": 2}, {"dp_shard": 2, "ep": 2}, {"pp": 2}]
EIGHT = {"tp": 2, "pp": 2, "dp_shard": 2, "ep": 2}
SAVED, MORE = 2, 2


def run(ranks: Callable[[int], RankPool], layout: dict[str, Any], work: Callable[..., Any], *arguments: Any) -> Any:
    if not layout:
        return work("moe", layout, *arguments)
    return ranks(world(layout)).run(work, "moe", layout, *arguments)[0]


def assert_goes_on(ranks: Callable[[int], RankPool], layout: dict[str, Any], folder: Path) -> None:
    expected = alone("moe", "adamw", SAVED + MORE)
    found = run(ranks, layout, resume, str(folder), MORE)
    for name in ("loss", "grad_norm"):
        assert found[name] == pytest.approx(expected[name][SAVED:], rel=1e-5), (layout, name)


@pytest.mark.parametrize("number", range(len(LAYOUTS)), ids=lambda number: name_of(LAYOUTS[number]) or "alone")
def test_each_of_five_layouts_goes_on_under_the_next(
    number: int, ranks: Callable[[int], RankPool], tmp_path: Path
) -> None:
    run(ranks, LAYOUTS[number], save, str(tmp_path), SAVED)
    assert_goes_on(ranks, LAYOUTS[(number + 1) % len(LAYOUTS)], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("before", LAYOUTS, ids=lambda layout: name_of(layout) or "alone")
def test_all_pairs_of_five_layouts(before: dict[str, Any], ranks: Callable[[int], RankPool], tmp_path: Path) -> None:
    run(ranks, before, save, str(tmp_path), SAVED)
    for after in LAYOUTS:
        assert_goes_on(ranks, after, tmp_path)


@pytest.mark.slow
def test_from_eight_ranks_to_one_and_back(ranks: Callable[[int], RankPool], tmp_path: Path) -> None:
    run(ranks, EIGHT, save, str(tmp_path / "eight"), SAVED)
    assert_goes_on(ranks, {}, tmp_path / "eight")
    run(ranks, {}, save, str(tmp_path / "one"), SAVED)
    assert_goes_on(ranks, EIGHT, tmp_path / "one")
