"""The checkpoints of a run: saved by all ranks, committed by one, the newest good ones kept."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kolossos.errors import InputError
from kolossos.files import write_failure
from kolossos.stores import Store, open_store
from kolossos.train.checkpoints.checkpoint import MANIFEST, Checkpoint
from kolossos.train.checkpoints.memory import Memory
from kolossos.train.checkpoints.names import PREFIX, name_of, step_of
from kolossos.train.checkpoints.ranks import ALONE, Ranks
from kolossos.train.checkpoints.shard_files import SUFFIX, write_shards
from kolossos.train.checkpoints.staging import Shard, Staging

PATIENCE_S = 1800.0
PARTIAL = ".partial"


class CheckpointFolder:
    """The checkpoints of one run. With several ranks all call `newest_good`, `prepare`, `save` and `finish`
    together.

    A checkpoint is there when it is committed. On this machine its folder is then renamed from ``.step-N.partial``; in
    a store that cannot rename, its ``checkpoint.json`` is written last. One rank commits, when every rank has left a
    note of what it wrote beside it.
    """

    def __init__(
        self,
        folder: str | Path | Store,
        keep: int = 2,
        ranks: Ranks = ALONE,
        patience_s: float = PATIENCE_S,
        *,
        keep_step: int | None = None,
    ) -> None:
        """
        Args:
            folder: a path, or a URL that fsspec opens. All ranks must see the same one.
            keep: how many good checkpoints stay.
            ranks: who saves.
            patience_s: how long to wait for the part of the slowest rank.
            keep_step: a step whose checkpoint stays, too.

        ``returns_to`` may be set: from a step to the earlier one that the run may go back to, which stays as well.
        """
        self.store, self.keep, self.ranks = open_store(folder), keep, ranks
        self.keep_step = keep_step
        self.memory: Memory | None = None  # copies on the nodes, that are forgotten as these are
        self.returns_to: Callable[[int], int] | None = None
        self._patience_s = patience_s
        self._staging = Staging(ranks)
        self._good: set[int] = set()  # those that this process has read or written
        self._damaged: set[int] = set()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: tuple[int, Future[None]] | None = None
        self._buffers: Future[None] | None = None

    def all(self) -> list[Checkpoint]:
        """Committed checkpoints, oldest first (`Checkpoint.damage` tells of the content)."""
        steps = sorted(self._steps())
        if not self.store.renames:
            steps = [step for step in steps if (self.store / name_of(step)).exists(MANIFEST)]
        return [Checkpoint(self.store / name_of(step), step) for step in steps]

    def newest_good(self, say: Callable[[str], None], up_to: int | None = None) -> Checkpoint | None:
        """The newest undamaged checkpoint (of step ``up_to`` or before); damaged ones are reported through ``say``."""
        steps = self.ranks.gather([checkpoint.step for checkpoint in self.all()])[0]
        checkpoints = [Checkpoint(self.store / name_of(n), n) for n in steps if up_to is None or n <= up_to]
        for i, checkpoint in reversed(list(enumerate(checkpoints))):
            damage = checkpoint.damage(self.ranks)
            if damage is None:
                self._good.add(checkpoint.step)
                return checkpoint
            self._damaged.add(checkpoint.step)
            before = checkpoints[i - 1].store.name if i else "the beginning"
            say(f"{checkpoint.store} is damaged ({damage}); going back to {before}")
        return None

    def prepare(self, state: dict[str, Tensor]) -> None:
        """Make the buffers of the first `save` ahead of it, in the background: made by it, it would wait for them."""
        self._buffers = self._writer.submit(self._staging.plan(state))

    def save(self, step: int, state: dict[str, Tensor], wait: bool = False) -> None:
        """Copy ``state`` and write it in the background; errors of the write before this one are raised here.

        A step that is there already and good is not written again: the state of a step is always the same.
        """
        self.finish()
        if self._prepare(step):
            return
        if self._buffers is not None:
            self._buffers.result()
            self._buffers = None
        shards = self._staging.copy(state)
        self._pending = step, self._writer.submit(self._write, step, shards)
        if wait:
            self.finish()

    def finish(self) -> None:
        """Wait for the write under way. If any rank could not write, InputError names the last good checkpoint."""
        if self._pending is None:
            return
        step, pending = self._pending
        error = pending.exception()
        self._pending = None
        try:
            outcomes = self.ranks.gather(None if error is None else write_failure(error))
        except RuntimeError as lost:  # a rank is gone
            outcomes = [write_failure(error or lost)]
        failed = [reason for reason in outcomes if reason]
        if not failed:
            return
        if self.ranks.commits:
            with suppress(OSError):
                self._discard_partial()
        if error is not None and not isinstance(error, OSError | InputError):
            raise error
        raise self._not_written(step, failed[0])

    def last_good(self) -> str:
        """Which checkpoint a run that ends now goes on from, in words."""
        with suppress(OSError):
            if good := [checkpoint for checkpoint in self.all() if checkpoint.step not in self._damaged]:
                return f"the last good checkpoint is {good[-1].store}"
        return "there is no earlier checkpoint"

    def forget_after(self, step: int) -> None:
        """Remove what was committed after ``step``, the newest first."""
        self.finish()
        if self.memory is not None:
            self.memory.forget_after(step)
        if self.ranks.commits:
            for checkpoint in reversed(self.all()):
                if checkpoint.step > step:
                    if not self.store.renames:
                        checkpoint.store.remove(MANIFEST)
                    self.store.remove(name_of(checkpoint.step))
                    self._good.discard(checkpoint.step)

    def _prepare(self, step: int) -> bool:
        """Make room for a new checkpoint; True if there is a good one of this step already."""
        reason, there = None, False
        if self.ranks.commits:
            try:
                self._discard_partial()
                there = self._is_good(step)
            except OSError as error:
                reason = write_failure(error)
        reason, there = self.ranks.gather((reason, there))[0]
        if reason:
            raise self._not_written(step, reason)
        return there

    def _is_good(self, step: int) -> bool:
        """Whether this step was committed and is undamaged; in a store that cannot rename a damaged one is removed."""
        if step not in {checkpoint.step for checkpoint in self.all()}:
            return False
        if Checkpoint(self.store / name_of(step), step).damage() is None:
            self._good.add(step)
            return True
        self._damaged.add(step)
        self._good.discard(step)
        if not self.store.renames:
            (self.store / name_of(step)).remove(MANIFEST)
            self.store.remove(name_of(step))
        return False

    def _write(self, step: int, shards: list[Shard]) -> None:
        """Write this rank's part and leave a note of it; the committing rank then waits for all notes and commits."""
        folder = self.store / self._partial_name(step)
        name = f"rank-{self.ranks.rank:05d}"
        try:
            files: dict[str, Any] = {}
            if shards:
                with folder.create(name + SUFFIX) as file:
                    files[name + SUFFIX] = write_shards(file, shards)
            if self.ranks.world > 1:
                folder.write(f"{name}.json", json.dumps({"files": files}, indent=1))
        except BaseException as error:
            if self.ranks.world > 1:
                with suppress(OSError):
                    folder.write(f"{name}.json", json.dumps({"error": write_failure(error)}))
            raise
        if self.ranks.commits:
            if self.ranks.world > 1:
                files = self._files_of_all(folder)
            self._commit(step, folder, files)
            self._prune(step)

    def _files_of_all(self, folder: Store) -> dict[str, Any]:
        """What all ranks wrote, from their notes; OSError if one could not write, or leaves no note in time."""
        files: dict[str, Any] = {}
        missing = set(range(self.ranks.world))
        deadline, pause_s = time.monotonic() + self._patience_s, 0.01
        while True:
            names = set(folder.names())
            for rank in sorted(missing):
                if (note_name := f"rank-{rank:05d}.json") in names:
                    note = json.loads(folder.read(note_name))
                    if "error" in note:
                        raise OSError(f"rank {rank}: {note['error']}")
                    files |= note["files"]
                    missing.discard(rank)
            if not missing:
                return files
            if time.monotonic() > deadline:
                raise OSError(f"rank {min(missing)} did not write its part within {self._patience_s:g} s")
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 1.0)

    def _commit(self, step: int, folder: Store, files: dict[str, Any]) -> None:
        manifest = {"step": step, "torch": torch.__version__, "files": files}
        folder.write(MANIFEST, json.dumps(manifest, indent=1))
        if self.store.renames:
            self.store.remove(name_of(step))  # only a damaged one can be there
            self.store.rename(folder.name, name_of(step))
        self._damaged.discard(step)
        self._good.add(step)

    def _prune(self, written: int) -> None:
        """Behind a checkpoint that is durable: remove the damaged ones, and all but the newest ``keep`` good ones.

        A checkpoint that nobody has read since the start of this process counts after all that are known to be good.
        What a store does not remove now is tried again behind the next one.
        """
        there = {checkpoint.step for checkpoint in self.all()}
        counted = there - {self.keep_step}
        known = sorted(counted & self._good)
        unread = sorted(counted - self._good - self._damaged)
        kept = {written, self.keep_step, *(unread + known)[-self.keep :]}
        if self.returns_to is not None:
            kept |= {step for step in counted - self._damaged if step >= self.returns_to(written)}
        for step in sorted(there - kept):
            with suppress(OSError):
                self.store.remove(name_of(step))
                self._damaged.discard(step)

    def _discard_partial(self) -> None:
        for name in self.store.names():
            if name.startswith(f".{PREFIX}") and name.endswith(PARTIAL):
                self.store.remove(name)
        if not self.store.renames:
            committed = {checkpoint.step for checkpoint in self.all()}
            for step in self._steps():
                if step not in committed:
                    self.store.remove(name_of(step))

    def _not_written(self, step: int, reason: str) -> InputError:
        return InputError(f"{self.store}: {reason} for a checkpoint of step {step}; {self.last_good()}")

    def _steps(self) -> list[int]:
        return [step for name in self.store.names() if (step := step_of(name)) is not None]

    def _partial_name(self, step: int) -> str:
        return f".{name_of(step)}{PARTIAL}" if self.store.renames else name_of(step)
