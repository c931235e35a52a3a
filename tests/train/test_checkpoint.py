"""Checkpoints in a store: whole, counted, and honest about a full disk and a store that fails."""

import errno
import json
import os
import signal
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import torch
from safetensors.torch import load_file
from torch.distributed.checkpoint import HuggingFaceStorageWriter
from torch.distributed.checkpoint import save as dcp_save

from kolossos.errors import InputError
from kolossos.files import sha256_of
from kolossos.stores import LocalStore, RemoteStore
from kolossos.train.checkpoints.checkpoint import Checkpoint
from kolossos.train.checkpoints.folder import CheckpointFolder


def state(value: float) -> dict[str, torch.Tensor]:
    return {
        "model.w": torch.full((3, 4), value),
        "model.half": torch.full((5,), value, dtype=torch.bfloat16),
        "optimizer.w.step": torch.tensor(value),
    }


@pytest.fixture(params=["path", "file URL", "memory URL"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that does not exist yet, in each kind of store."""
    places = {"path": str(tmp_path / "c"), "file URL": f"file://{tmp_path}/c", "memory URL": f"memory://{uuid.uuid4()}"}
    return places[request.param]


def damage_file(place: str, step: int) -> None:
    """Flip a bit of a weight."""
    filesystem, path = fsspec.url_to_fs(place)
    (name,) = filesystem.glob(f"{path}/step-{step:08d}/*.safetensors")
    content = bytearray(filesystem.cat_file(name))
    content[-1] ^= 1
    filesystem.pipe_file(name, bytes(content))


def heard() -> tuple[list[str], Callable[[str], None]]:
    lines: list[str] = []
    return lines, lines.append


def test_buffers_made_ahead_are_those_that_a_save_uses(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "c")
    live = state(1.0) | {"empty": torch.empty(0), "scalar": torch.tensor(3)}
    folder.prepare(live)
    live["model.w"].fill_(2.0)  # trained since
    folder.save(1, live, wait=True)
    found = {name: torch.empty_like(tensor) for name, tensor in live.items()}
    folder.all()[-1].load(found)
    assert all(torch.equal(found[name], tensor) for name, tensor in live.items())


def test_saved_state_comes_back_and_only_the_newest_are_kept(place: str) -> None:
    folder = CheckpointFolder(place, keep=2)
    for step in (1, 2, 3):
        live = state(float(step))
        folder.save(step, live)
        for tensor in live.values():
            tensor.fill_(-1.0)  # training goes on while the thread writes
    folder.finish()
    assert [c.step for c in folder.all()] == [2, 3]
    loaded = state(0.0)
    CheckpointFolder(place).all()[-1].load(loaded)
    torch.testing.assert_close(loaded, state(3.0), rtol=0, atol=0)
    assert [c.damage() for c in folder.all()] == [None, None]


def test_nothing_in_a_checkpoint_is_pickled_and_others_read_it(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    odd = {"empty": torch.empty(0, 3), "flag": torch.tensor([True]), "long": torch.arange(5).expand(2, 5)}
    folder.save(1, state(1.0) | odd, wait=True)
    files = list((tmp_path / "step-00000001").iterdir())
    assert {p.suffix for p in files} == {".safetensors", ".json"}
    (weights,) = (p for p in files if p.suffix == ".safetensors")
    read = load_file(weights)
    torch.testing.assert_close(read, state(1.0) | odd, rtol=0, atol=0)
    manifest = json.loads((tmp_path / "step-00000001" / "checkpoint.json").read_text())
    assert manifest["files"][weights.name] == {"bytes": weights.stat().st_size, "sha256": sha256_of(weights)}


def test_a_checkpoint_of_torchs_own_writer_is_read(tmp_path: Path) -> None:
    writer = HuggingFaceStorageWriter(str(tmp_path / "step-00000007"), save_distributed=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp_save(state(7.0), storage_writer=writer, no_dist=True)
    loaded = state(0.0)
    Checkpoint(LocalStore(tmp_path / "step-00000007"), 7).load(loaded)
    torch.testing.assert_close(loaded, state(7.0), rtol=0, atol=0)


def test_death_in_the_middle_of_a_write_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(1, state(1.0), wait=True)
    monkeypatch.setattr(CheckpointFolder, "_commit", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    pid = os.fork()
    if pid == 0:  # dies after the shards are written and before the folder has its name
        folder._write(2, folder._staging.copy(state(2.0)))
    os.waitpid(pid, 0)
    monkeypatch.undo()
    assert list(tmp_path.glob(".step-*"))
    again = CheckpointFolder(tmp_path, keep=2)
    assert [c.step for c in again.all()] == [1]
    again.save(3, state(3.0), wait=True)
    assert not list(tmp_path.glob(".step-*"))
    assert [c.damage() for c in again.all()] == [None, None]


@pytest.mark.parametrize("syncs_before_full", range(3))
def test_full_disk_at_any_point_is_one_line_that_names_the_last_good_checkpoint(
    syncs_before_full: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(1, state(1.0), wait=True)
    real_fsync, calls = os.fsync, iter(range(1000))

    def fsync(descriptor: int) -> None:
        if next(calls) >= syncs_before_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    folder.save(2, state(2.0))
    with pytest.raises(InputError, match=r"no space left .*last good checkpoint is .*step-00000001") as caught:
        folder.finish()
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001"]
    assert CheckpointFolder(tmp_path).all()[0].damage() is None


class Refused(Exception):
    """What a store's own package may raise."""


@pytest.mark.parametrize("failing", ["open", "pipe_file", "ls", "makedirs"])
def test_a_store_that_fails_loses_nothing_and_says_so_in_one_line(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"memory://{uuid.uuid4()}"
    folder = CheckpointFolder(place, keep=1)
    folder.save(1, state(1.0), wait=True)

    def refuse(*_: object, **__: object) -> None:
        raise Refused("403\nforbidden")

    monkeypatch.setattr(type(fsspec.url_to_fs(place)[0]), failing, refuse)
    with pytest.raises(InputError, match=r"could not write \(.*403 forbidden") as caught:
        folder.save(2, state(2.0), wait=True)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert [(c.step, c.damage()) for c in CheckpointFolder(place).all()] == [(1, None)]
    folder.save(2, state(2.0), wait=True)
    assert [(c.step, c.damage()) for c in folder.all()] == [(2, None)]


def test_a_store_that_does_not_answer_is_not_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    place = f"memory://{uuid.uuid4()}"
    CheckpointFolder(place).save(1, state(1.0), wait=True)

    def lost(*_: object) -> None:
        raise OSError("timed out")

    monkeypatch.setattr(RemoteStore, "open", lost)
    with pytest.raises(InputError, match=r"cannot be read now .*timed out"):
        CheckpointFolder(place).newest_good(lambda _: None)


def test_keep_counts_good_ones_and_damaged_ones_go_when_a_newer_good_one_is_there(place: str) -> None:
    first = CheckpointFolder(place, keep=4)
    for step in (4, 8, 12, 16):
        first.save(step, state(float(step)), wait=True)
    for step in (8, 12, 16):
        damage_file(place, step)
    lines, say = heard()
    folder = CheckpointFolder(place, keep=2)
    good = folder.newest_good(say)
    assert good is not None
    assert good.step == 4
    assert len(lines) == 3
    folder.save(8, state(8.0), wait=True)  # in the place of a damaged one
    assert [(c.step, c.damage()) for c in folder.all()] == [(4, None), (8, None)]
    folder.save(12, state(12.0), wait=True)
    assert [(c.step, c.damage()) for c in folder.all()] == [(8, None), (12, None)]


def test_the_only_good_one_stays_until_another_is_durable(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = CheckpointFolder(place, keep=3)
    for step in (4, 8, 12):
        first.save(step, state(float(step)), wait=True)
    damage_file(place, 8)
    damage_file(place, 12)
    folder = CheckpointFolder(place, keep=1)
    folder.newest_good(lambda _: None)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CheckpointFolder, "_commit", fail)
    with pytest.raises(InputError, match=r"last good checkpoint is .*step-00000004"):
        folder.save(6, state(6.0), wait=True)
    monkeypatch.undo()
    assert 4 in [c.step for c in folder.all()]
    folder.save(6, state(6.0), wait=True)
    assert [(c.step, c.damage()) for c in folder.all()] == [(6, None)]


def test_a_good_checkpoint_of_the_same_step_is_not_touched(place: str) -> None:
    folder = CheckpointFolder(place)
    folder.save(1, state(1.0), wait=True)
    folder.save(1, state(2.0), wait=True)
    loaded = state(0.0)
    folder.all()[0].load(loaded)
    assert loaded["model.w"][0, 0] == 1.0


def test_a_checkpoint_of_another_model_is_refused(place: str) -> None:
    folder = CheckpointFolder(place, keep=1)
    folder.save(1, state(1.0), wait=True)
    with pytest.raises(InputError, match="does not fit this run"):
        folder.all()[0].load({"model.w": torch.zeros(5, 5)})
    with pytest.raises(InputError, match="does not fit this run"):
        folder.all()[0].load({"model.other": torch.zeros(3, 4)})
