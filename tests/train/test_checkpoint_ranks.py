"""Several ranks save one checkpoint: whole or not there, and readable on any number of ranks."""

import multiprocessing
import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from kolossos.errors import InputError
from kolossos.train.checkpoints import folder as folder_module
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.checkpoints.ranks import Ranks
from kolossos.train.checkpoints.staging import share_out

WORLD = 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3, bias=False), nn.Linear(3, 1))


def whole_state() -> dict[str, torch.Tensor]:
    """What the ranks of `sharded_state` hold together."""
    weights = {f"model.{name}": tensor.clone() for name, tensor in network().state_dict().items()}
    stages = {f"stage.{rank}": torch.full((2, 2), float(rank)) for rank in range(WORLD)}
    rows = torch.arange(12.0).reshape(4, 3)
    return weights | stages | {"step": torch.tensor(7.0), "columns": rows, "same": rows + 1}


def sharded_state(rank: int) -> dict[str, torch.Tensor]:
    """FSDP2's shards, some of them empty; shards of columns; a replica; a tensor of one rank alone; a plain one."""
    mesh = init_device_mesh("cpu", (WORLD,))
    model = fully_shard(network(), mesh=mesh)
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    rows = torch.arange(12.0).reshape(4, 3)
    state["columns"] = distribute_tensor(rows, mesh, [Shard(1)])
    state["same"] = distribute_tensor(rows + 1, mesh, [Replicate()])
    state["step"] = torch.tensor(7.0)
    return state | {f"stage.{rank}": torch.full((2, 2), float(rank))}


def _save(rank: int, tmp_path: Path, die: bool) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=rank, world_size=WORLD)
    state = sharded_state(rank)
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2, ranks=Ranks.of_group(), patience_s=3 if die else 60)
    folder.save(1, state, wait=True)
    if die and rank == 1:
        folder_module.write_shards = lambda *_: os._exit(1)  # before its part is written
    outcome = "saved"
    try:
        folder.save(2, state, wait=True)
    except InputError as error:
        outcome = str(error)
    (tmp_path / f"outcome-{rank}").write_text(outcome)
    if not die:
        newest = folder.newest_good(lambda _: None)
        assert newest is not None
        for tensor in state.values():
            (tensor.to_local() if isinstance(tensor, DTensor) else tensor).zero_()
        newest.load(state)  # each rank its own shards
        for name, tensor in state.items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            torch.testing.assert_close(full, whole_state()[name], rtol=0, atol=0)
        dist.destroy_process_group()


def run_ranks(tmp_path: Path, die: bool) -> list[int | None]:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_save, args=(rank, tmp_path, die)) for rank in range(WORLD)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def test_two_ranks_save_their_shards_and_one_rank_loads_the_same_values(tmp_path: Path) -> None:
    assert run_ranks(tmp_path, die=False) == [0, 0]
    (_, newest) = CheckpointFolder(tmp_path / "checkpoints").all()
    assert newest.damage() is None
    names = sorted(path.name for path in (tmp_path / "checkpoints" / "step-00000002").glob("*.safetensors"))
    assert names == ["rank-00000.safetensors", "rank-00001.safetensors"]
    loaded = {name: torch.zeros_like(tensor) for name, tensor in whole_state().items()}
    newest.load(loaded)
    torch.testing.assert_close(loaded, whole_state(), rtol=0, atol=0)
    (tmp_path / "checkpoints" / "step-00000002" / names[1]).unlink()
    assert newest.damage() == "rank-00001.safetensors is missing"


def test_a_rank_that_dies_before_its_part_is_written_leaves_no_checkpoint(tmp_path: Path) -> None:
    assert run_ranks(tmp_path, die=True)[1] == 1
    outcome = (tmp_path / "outcome-0").read_text()
    assert "rank 1 did not write its part within 3 s" in outcome
    assert "the last good checkpoint is" in outcome
    assert [c.step for c in CheckpointFolder(tmp_path / "checkpoints").all()] == [1]


def test_each_shard_has_one_writer_and_the_bytes_are_shared() -> None:
    keys = [((name, (0,)), size) for name, size in (("a", 4), ("b", 3), ("c", 2))]
    held = [[*keys, (("only 0", (0,)), 1)], [*keys, (("only 1", (0,)), 9)]]
    first, second = share_out(held)
    assert first | second == {key for keys in held for key, _ in keys}
    assert not first & second
    assert ("only 1", (0,)) in second


@pytest.mark.parametrize("damaged", [True, False])
def test_damage_found_by_one_rank_is_heard_by_all(damaged: bool, tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, ranks=Ranks())
    folder.save(1, {"a": torch.ones(3)}, wait=True)
    answers = [("rank-00001.safetensors is missing", None)] if damaged else [(None, None)]
    hearing = Ranks(0, 2, lambda mine: [mine, *answers])
    assert folder.all()[0].damage(hearing) == answers[0][0]
