"""Checkpoints on disk: whole, counted, and honest about a full disk."""

import errno
import os
import signal
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from kolossos.errors import InputError
from kolossos.train import checkpoint
from kolossos.train.checkpoints.folder import CheckpointFolder


def state(value: float) -> dict[str, torch.Tensor]:
    return {"model.w": torch.full((3, 4), value), "optimizer.w.step": torch.tensor(value)}


def test_saved_state_comes_back_and_only_the_newest_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    for step in (1, 2, 3):
        live = state(float(step))
        folder.save(step, live)
        for tensor in live.values():
            tensor.fill_(-1.0)  # training goes on while the thread writes
    folder.finish()
    assert [c.step for c in folder.all()] == [2, 3]
    loaded = state(0.0)
    folder.all()[-1].load(loaded)
    torch.testing.assert_close(loaded, state(3.0), rtol=0, atol=0)


def test_nothing_in_a_checkpoint_is_pickled(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(1, state(1.0), wait=True)
    assert {p.suffix for p in folder.all()[0].folder.iterdir()} == {".safetensors", ".json"}


def test_death_in_the_middle_of_a_write_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(1, state(1.0), wait=True)
    monkeypatch.setattr(checkpoint, "_sync_file", lambda path: os.kill(os.getpid(), signal.SIGKILL))
    pid = os.fork()
    if pid == 0:  # dies after the shards are written and before the folder has its name
        folder._write(2, state(2.0))
    os.waitpid(pid, 0)
    monkeypatch.undo()
    assert list(tmp_path.glob(".step-*"))
    again = CheckpointFolder(tmp_path, keep=2)
    assert [c.step for c in again.all()] == [1]
    again.save(3, state(3.0), wait=True)
    assert not list(tmp_path.glob(".step-*"))
    assert [c.damage() for c in again.all()] == [None, None]


def test_full_disk_is_one_line_that_names_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(1, state(1.0), wait=True)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dcp.HuggingFaceStorageWriter, "write_data", full)
    folder.save(2, state(2.0))
    with pytest.raises(InputError, match=r"no space left .*last good checkpoint is .*step-00000001"):
        folder.finish()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000001"]


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(1, state(1.0), wait=True)
    with pytest.raises(InputError, match="does not fit this run"):
        folder.all()[0].load({"model.w": torch.zeros(5, 5)})
    with pytest.raises(InputError, match="does not fit this run"):
        folder.all()[0].load({"model.other": torch.zeros(3, 4)})
