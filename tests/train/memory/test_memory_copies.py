"""Copies in the memory of nodes: a run goes on from them, also where a node was lost, and only from its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodes_of_memory import train_on_nodes
from rank_pool import RankPool
from test_resume import assert_same_run

from kolossos.errors import InputError
from kolossos.specs.run import load_run
from kolossos.train.checkpoints.memory import neighbours
from kolossos.train.checkpoints.names import committed_steps
from kolossos.train.layouts import require_survivable

VALUES = ["layout.micro_batch_size=1", "layout.dp_shard=2", "optimizer.name='adamw'", "schedule.steps=14"]
VALUES += ["checkpoint.every=5", "checkpoint.memory_every=2"]


@given(st.integers(2, 6), st.integers(1, 4), st.booleans())
def test_each_rank_has_a_copy_on_exactly_one_other_node(n_nodes: int, per_node: int, interleaved: bool) -> None:
    nodes = [f"n{i % n_nodes if interleaved else i // per_node}" for i in range(n_nodes * per_node)]
    sent = {rank: neighbours(nodes, rank)[0] for rank in range(len(nodes))}
    assert sorted(to for to in sent.values() if to is not None) == list(range(len(nodes)))
    for rank, to in sent.items():
        assert to is not None
        assert nodes[to] != nodes[rank]
        assert neighbours(nodes, to)[1] == rank


def test_where_there_is_no_other_node_there_is_no_neighbour() -> None:
    assert neighbours(["a", "a"], 1) == (None, None)


def test_replicas_need_none(run_file: Path) -> None:
    values = ["survival.replicas=true", "layout.dp_replicate=2", "layout.micro_batch_size=1"]
    with pytest.raises(InputError, match=r"checkpoint.memory_every is for runs without survival.replicas"):
        require_survivable(load_run(run_file, [*values, "checkpoint.memory_every=2"]))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RankPool]:
    made = RankPool(2, tmp_path_factory.mktemp("ranks"))
    yield made
    made.close()


def memory(tmp_path: Path, node: str) -> Path:
    (found,) = (tmp_path / f"memory-of-{node}").glob("kolossos-*")
    return found


def test_a_lost_node_is_replaced_and_its_part_comes_from_the_neighbour(
    run_file: Path, tmp_path: Path, pool: RankPool
) -> None:
    """Both end behind step 9; the node of rank 1 is another one then, of whose memory nothing is left."""
    given = str(run_file), VALUES
    pool.run(train_on_nodes, *given, str(tmp_path / "unbroken"), ["a", "b"], 0)
    (lines, _) = pool.run(train_on_nodes, *given, str(tmp_path / "run"), ["a", "b"], 9)
    assert lines == ["vanished"]
    assert committed_steps(tmp_path / "run/checkpoints") == [5]
    assert committed_steps(memory(tmp_path, "a")) == committed_steps(memory(tmp_path, "b")) == [6, 8]
    shutil.rmtree(tmp_path / "memory-of-b")
    (lines, _) = pool.run(train_on_nodes, *given, str(tmp_path / "run"), ["a", "c"], 0)
    assert lines[0] == "going on from step 8, from the memory of the nodes"
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 14)
    assert not list(tmp_path.glob("memory-of-[ac]/*"))  # it has ended in order


def test_a_copy_that_is_damaged_is_passed_over_and_the_store_is_behind_all(
    run_file: Path, tmp_path: Path, pool: RankPool
) -> None:
    given = str(run_file), VALUES, str(tmp_path / "run"), ["a", "b"]
    pool.run(train_on_nodes, *given, 9)
    for node in "ab":
        for file in memory(tmp_path, node).glob("step-00000008/rank-00001.safetensors"):
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(content)
    (lines, _) = pool.run(train_on_nodes, *given, 7)
    assert lines == ["going on from step 6, from the memory of the nodes", "vanished"]
    for node in "ab":
        for note in memory(tmp_path, node).glob("*/rank-00000.json"):
            note.unlink()
    (lines, _) = pool.run(train_on_nodes, *given, 6)
    assert lines == ["vanished"]  # from step 5, of the store


def test_what_another_run_file_left_is_not_looked_at(run_file: Path, tmp_path: Path, pool: RankPool) -> None:
    path, nodes = str(tmp_path / "run"), ["a", "b"]
    pool.run(train_on_nodes, str(run_file), VALUES, path, nodes, 9)
    (lines, _) = pool.run(train_on_nodes, str(run_file), [*VALUES, "schedule.steps=15"], path, nodes, 9)
    assert lines == ["vanished"]
    assert len(list((tmp_path / "memory-of-a").glob("kolossos-*"))) == 1
