"""Checkpoints: torch.distributed.checkpoint in safetensors, written beside and renamed, with checksums.

    checkpoints/step-00000200/
        shard-00001-model-00001-of-00001.safetensors   one a rank; nothing is pickled
        checkpoint.json                                  step, and every file's size and sha256

A folder with that name is whole. Saving copies the state into buffers that are used again, then a thread writes while
training goes on. A damaged checkpoint is named and the one before it used.
"""

import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor

from kolossos.errors import InputError
from kolossos.files import sha256_of, sync_folder, write_whole

MANIFEST = "checkpoint.json"
PARTIAL = ".partial"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk."""

    folder: Path
    step: int

    def damage(self) -> str | None:
        """What is wrong with its files, or None. Reads them all."""
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text())
            for name, expected in manifest["files"].items():
                path = self.folder / name
                if path.stat().st_size != expected["bytes"]:
                    return f"{name} has {path.stat().st_size} bytes, not {expected['bytes']}"
                if sha256_of(path) != expected["sha256"]:
                    return f"the sha256 of {name} is not the recorded one"
        except FileNotFoundError as error:
            return f"{Path(error.filename).name} is missing"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"{MANIFEST} is unreadable ({error})"
        return None

    def load(self, state: dict[str, Tensor]) -> None:
        """Read the tensors named in ``state`` into them; InputError if the checkpoint holds other names or shapes."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dcp.load(state, storage_reader=dcp.HuggingFaceStorageReader(str(self.folder)), no_dist=_alone())
            except (RuntimeError, ValueError, KeyError, dcp.api.CheckpointException) as error:
                reason = str(error).strip().splitlines()[-1]
                raise InputError(f"{self.folder}: does not fit this run: {reason}") from None


class CheckpointFolder:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, keep: int = 2):
        self.folder, self.keep = folder, keep
        self._staged: dict[str, Tensor] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def all(self) -> list[Checkpoint]:
        """Whole checkpoints, oldest first (whole by name; `Checkpoint.damage` tells of the content)."""
        steps = [int(p.name[5:]) for p in self.folder.glob("step-*") if p.name[5:].isdigit()]
        return [Checkpoint(self._path(step), step) for step in sorted(steps)]

    def newest_good(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest undamaged checkpoint; damaged ones are reported through ``say``."""
        checkpoints = self.all()
        for i, checkpoint in reversed(list(enumerate(checkpoints))):
            damage = checkpoint.damage()
            if damage is None:
                return checkpoint
            before = checkpoints[i - 1].folder.name if i else "the beginning"
            say(f"{checkpoint.folder} is damaged ({damage}); going back to {before}")
        return None

    def save(self, step: int, state: dict[str, Tensor], wait: bool = False) -> None:
        """Copy ``state`` and write it in the background; errors of the write before this one are raised here."""
        self.finish()
        for name, tensor in state.items():
            if name not in self._staged:
                self._staged[name] = torch.empty_like(tensor, device="cpu", requires_grad=False)
            self._staged[name].copy_(tensor.detach())
        self._pending = self._writer.submit(self._write, step, self._staged)
        if wait:
            self.finish()

    def finish(self) -> None:
        """Wait for the write under way. No space left is an InputError that names the last good checkpoint."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            pending.result()
        except OSError as error:
            self._discard_partial()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            good = self.all()
            last = f"the last good checkpoint is {good[-1].folder}" if good else "there is no earlier checkpoint"
            raise InputError(f"{self.folder}: no space left on the disk for a checkpoint; {last}") from None

    def _write(self, step: int, state: dict[str, Tensor]) -> None:
        self._discard_partial()
        partial = self.folder / f".step-{step:08d}{PARTIAL}"
        partial.mkdir(parents=True)
        writer = dcp.HuggingFaceStorageWriter(str(partial), save_distributed=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dcp.save(state, storage_writer=writer, no_dist=_alone())
            except dcp.api.CheckpointException as error:
                raise _first_os_error(error) or error from None
        files = sorted(p for p in partial.iterdir())
        for path in files:
            _sync_file(path)
        entries = {p.name: {"bytes": p.stat().st_size, "sha256": sha256_of(p)} for p in files}
        write_whole(
            partial / MANIFEST, json.dumps({"step": step, "torch": torch.__version__, "files": entries}, indent=1)
        )
        sync_folder(partial)
        target = self._path(step)
        if target.exists():  # the same step saved again: its content is the same
            shutil.rmtree(target)
        os.replace(partial, target)
        sync_folder(self.folder)
        for old in self.all()[: -self.keep]:
            shutil.rmtree(old.folder)

    def _discard_partial(self) -> None:
        for path in self.folder.glob(f".step-*{PARTIAL}"):
            shutil.rmtree(path, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"


def _alone() -> bool:
    return not torch.distributed.is_initialized()


def _first_os_error(error: dcp.api.CheckpointException) -> OSError | None:
    """The OSError inside DCP's wrapper, or, for safetensors' own exception, one with the same meaning."""
    for failure, _ in error.failures.values():
        if isinstance(failure, OSError):
            return failure
        if "No space left" in str(failure) or "os error 28" in str(failure):
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return None


def _sync_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
