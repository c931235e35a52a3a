"""A gradient that was computed wrongly is found by computing it again elsewhere, and never kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from miscomputing import train_miscomputing
from rank_pool import RankPool
from test_resume import logged

from kolossos.errors import InputError
from kolossos.parallel.coordinates import coordinates_of
from kolossos.parallel.replaying import Partners
from kolossos.runs.events import read_events
from kolossos.specs.layout import Layout
from kolossos.specs.run import load_run
from kolossos.train.layouts import require_survivable
from kolossos.train.watch.replay import Computed, disagreement, fingerprint, verdict


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.data())
def test_any_flipped_bits_make_another_fingerprint(sizes: list[int], data: st.DataObject) -> None:
    tensors = [torch.randn(size) for size in sizes]
    before = fingerprint(tensors)
    assert fingerprint([tensor.clone() for tensor in tensors]) == before
    places = st.tuples(st.integers(0, sum(sizes) - 1), st.integers(0, 31))
    flat = torch.cat(tensors).view(torch.int32)
    for place, bit in data.draw(st.sets(places, min_size=1, max_size=3)):
        flat[place] ^= (1 << bit) - (1 << 32) * (bit == 31)
    assert fingerprint(flat.view(torch.float32).split(sizes)) != before
    if sizes[0] > 1 and not torch.equal(tensors[0], tensors[0].flip(0)):
        assert fingerprint([tensors[0].flip(0), *tensors[1:]]) != before


layouts = st.builds(
    Layout,
    tp=st.sampled_from([1, 2]),
    pp=st.sampled_from([1, 2]),
    dp_shard=st.sampled_from([1, 2, 3]),
    dp_replicate=st.sampled_from([2, 3]),
    ep=st.sampled_from([1, 2]),
    micro_batch_size=st.just(1),
    global_batch_size=st.just(36),
)


@given(layouts)
def test_all_shares_are_computed_again_once_by_another_rank_with_the_same_weights(layout: Layout) -> None:
    ranks = [Partners(layout, rank) for rank in range(layout.world_size)]
    for places in range(ranks[0].count):
        assert {partners.whose(places) for partners in ranks} == {partners.whose(0) for partners in ranks}
    for partners in ranks:
        place, shares = coordinates_of(layout, partners.rank), [partners.share(n) for n in range(partners.count)]
        assert len({tuple(share) for share in shares}) == partners.count
        if layout.ep > 1:
            assert {partners.data_rank(n) % layout.dp_shard for n in range(partners.count)} == {place["dp_shard"]}


def found(prints: dict[tuple[int, int], str]) -> list[Computed]:
    """By (share, rank) what was found each time, a letter a time."""
    return [
        Computed(share, rank, f"n{rank}", (ord(letter), 0))
        for (share, rank), letters in prints.items()
        for letter in letters
    ]


@pytest.mark.parametrize(
    ("prints", "wrong", "sure"),
    [
        ({(0, 0): "xa", (0, 1): "aa", (1, 1): "b", (1, 0): "b"}, [0], True),  # once, and not again
        ({(0, 0): "aa", (0, 1): "xa"}, [1], True),  # whoever computes it again may be wrong, too
        ({(0, 0): "xx", (0, 1): "aa"}, [0, 1], False),  # one of two, always
        ({(0, 0): "xx", (0, 1): "aa", (0, 2): "a"}, [0], True),  # one of three, always
        ({(0, 0): "xx", (0, 1): "aa", (0, 2): "a", (1, 1): "bb", (1, 0): "yy"}, [0], True),
    ],
)
def test_who_is_wrong_is_said_where_it_can_be(prints: dict[tuple[int, int], str], wrong: list[int], sure: bool) -> None:
    said = verdict(found(prints))
    assert ([rank for rank, _ in said.ranks], said.sure) == (wrong, sure)
    assert f"rank {wrong[0]} on n{wrong[0]}" in str(said)
    assert disagreement(found({(0, 0): "a", (0, 1): "a", (1, 0): "b"})) == []


def test_where_nobody_could_compute_it_again_that_is_refused(run_file: Path) -> None:
    with pytest.raises(InputError, match=r"compute.replay_every: .*set layout.dp_shard or dp_replicate"):
        require_survivable(load_run(run_file, ["compute.replay_every=4"]))
    values = ["layout.dp_shard=2", "layout.ep=2", "layout.micro_batch_size=1", "compute.replay_every=4"]
    with pytest.raises(InputError, match=r"layout.dp_replicate \(ep cuts dp_shard\)"):
        require_survivable(load_run(run_file, values))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RankPool]:
    made = RankPool(2, tmp_path_factory.mktemp("ranks"))
    yield made
    made.close()


VALUES = ["layout.micro_batch_size=1", "schedule.steps=6", "optimizer.name='adamw'", "compute.replay_every=2"]


def numbers(path: Path) -> list[dict]:
    return [event for event in logged(path) if event["kind"] != "miscomputed"]


@pytest.mark.parametrize("layout", ["layout.dp_shard=2", "layout.dp_replicate=2"])
def test_a_bit_that_flips_once_is_found_and_the_step_computed_again(
    run_file: Path, tmp_path: Path, pool: RankPool, layout: str
) -> None:
    values, path = [*VALUES, layout, "layout.sharding='optimizer'"], tmp_path / "run"
    pool.run(train_miscomputing, str(run_file), values, str(tmp_path / "unbroken"), None, range(0))
    (lines, ended), _ = pool.run(train_miscomputing, str(run_file), values, str(path), 1, range(1, 2))
    assert ended == ""
    assert lines[0].startswith("step 2: not kept: silent corruption: rank 1 on ")
    assert "compared with rank 0 on " in lines[0]
    (event,) = read_events(path / "metrics.jsonl", "miscomputed")
    assert (event["step"], event["sure"]) == (1, 1)
    assert event["wrong_ranks"].startswith("rank 1 on ")
    assert numbers(path) == numbers(tmp_path / "unbroken")


def test_a_rank_that_is_always_wrong_ends_the_run_and_of_two_both_are_named(
    run_file: Path, tmp_path: Path, pool: RankPool
) -> None:
    values, path = [*VALUES, "layout.dp_shard=2"], tmp_path / "run"
    (_, ended), _ = pool.run(train_miscomputing, str(run_file), values, str(path), 1, range(1000))
    assert "rank 0 on " in ended
    assert "rank 1 on " in ended
    assert "it cannot be said who is right in step 2" in ended
    assert "leave that host out" in ended


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout",
    [
        ["layout.dp_shard=2", "layout.tp=2", "model.n_kv_heads=2"],
        ["layout.dp_shard=2", "layout.pp=2"],
        ["layout.dp_shard=2", "layout.cp=2"],
        ["layout.dp_shard=2", "layout.dp_replicate=2", "layout.ep=2"],
        ["layout.dp_shard=4", "layout.sharding='gradients'"],
    ],
    ids=lambda values: " ".join(values),
)
def test_under_every_axis_equal_data_have_equal_bits_and_a_wrong_rank_is_found(
    run_file: Path, tmp_path: Path, layout: list[str]
) -> None:
    values = [*VALUES, *layout, "schedule.steps=4", "evaluate.batches=1"]
    pool = RankPool(4, tmp_path / "ranks")
    try:
        (lines, ended), *_ = pool.run(train_miscomputing, str(run_file), values, str(tmp_path / "a"), None, range(0))
        assert ended == ""
        assert not any("silent corruption" in line for line in lines)
        (lines, ended), *_ = pool.run(train_miscomputing, str(run_file), values, str(tmp_path / "b"), 2, range(2, 3))
        assert "silent corruption" in lines[0]
        assert "rank 2 on " in lines[0]
    finally:
        pool.close()
