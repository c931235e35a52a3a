"""Copies of the state in the memory of nodes: each rank's on its own node and on the next one.

    /dev/shm/kolossos-RUN-WHAT/step-00000200/rank-00003.safetensors, .json        (KOLOSSOS_MEMORY: another place)

When ranks begin again, on the same nodes or with another one in place of one that is lost, they go on from the newest
step of which all parts are there, without the store: a part whose node is gone comes from its neighbour. What was kept
for other data, another run file or another number of ranks is not looked at (WHAT says it). A run that ends in order
has saved to the store and takes its copies away. (GEMINI, SOSP 2023, has checkpoints in the memory of other machines.)
"""

import json
import os
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor

from kolossos.files import sha256_of, write_failure
from kolossos.runs.paths import RunPaths
from kolossos.specs.run import OPERATIONAL, RunSpec
from kolossos.train.checkpoints.names import committed_steps, name_of
from kolossos.train.checkpoints.ranks import Ranks
from kolossos.train.checkpoints.shard_files import SUFFIX, write_shards
from kolossos.train.checkpoints.staging import Shard, Staging, shards_of

PLACE = "/dev/shm"
KEPT = 2  # the newest may not be whole
BLOCK_BYTES = 64 << 20


def place_of(folder: Path, spec: RunSpec, world: int) -> Path:
    """Where on this node the copies of the run in ``folder`` lie."""
    files = RunPaths(folder)
    made = files.tokenizer.stat().st_mtime_ns if files.tokenizer.exists() else 0  # when the run was made
    what = json.dumps([made, world, spec.model_dump(mode="json", exclude=set(OPERATIONAL))], sort_keys=True)
    names = [sha256(text.encode()).hexdigest()[:12] for text in (str(folder.resolve()), what)]
    return Path(os.environ.get("KOLOSSOS_MEMORY") or PLACE) / "-".join(["kolossos", *names])


class Memory:
    """Those of one run, at ``place`` on each node; all ranks call everything together.

    The exchange has a process group and a thread of its own, so that training goes on meanwhile.
    """

    def __init__(self, place: Path, ranks: Ranks, say: Callable[[str], None]):
        self.place, self._ranks, self._say = place, ranks, say
        self._node = os.environ.get("KOLOSSOS_NODE") or socket.gethostname()
        group = dist.new_group(backend="gloo") if ranks.world > 1 else None
        self._group = group if isinstance(group, dist.ProcessGroup) else None
        self._nodes: list[str] = ranks.gather(self._node)
        self._to, self._from = neighbours(self._nodes, ranks.rank)
        self._staging = Staging()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="memory")
        self._pending: Future[None] | None = None
        self._ended = False
        for other in place.parent.glob(f"{place.name.rsplit('-', 1)[0]}-*"):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)

    def save(self, step: int, state: dict[str, Tensor]) -> None:
        """Copy ``state`` and keep it, in the background. Where that cannot be done once, it is not tried again."""
        if self._ended or not self._is_well():
            return
        self._pending = self._writer.submit(self._keep, step, self._staging.copy(state))

    def restore(self, state: dict[str, Tensor], newer_than: int) -> int | None:
        """Fill ``state`` from the newest step after ``newer_than`` that is there in whole; which, or None."""
        found = self._ranks.gather(self._found())
        steps = {step for of_rank in found for step in of_rank}
        whole = [s for s in steps if {r for of_rank in found for r in of_rank.get(s, ())} >= set(range(len(found)))]
        for step in sorted((step for step in whole if step > newer_than), reverse=True):
            self._bring(step, [of_rank.get(step, []) for of_rank in found])
            shards, values = shards_of(state), self._read(step)
            fits = values is not None and all(_fits(shard, values) for shard in shards)
            if all(self._ranks.gather(fits)) and values is not None:
                for shard in shards:
                    shard.tensor.copy_(values[shard.name])
                return step
        return None

    def finish(self) -> None:
        """Wait for what is under way."""
        if self._pending is not None:
            self._pending.exception()

    def forget_after(self, step: int) -> None:
        """Take away what was kept after ``step``."""
        self.finish()
        for later in committed_steps(self.place):
            if later > step:
                shutil.rmtree(self.place / name_of(later), ignore_errors=True)

    def clear(self) -> None:
        """Take everything away."""
        self.finish()
        self._ranks.gather(None)
        shutil.rmtree(self.place, ignore_errors=True)

    def _is_well(self) -> bool:
        """Whether all ranks have kept what they had to keep last."""
        error = self._pending.exception() if self._pending else None
        reasons = [reason for reason in self._ranks.gather(write_failure(error) if error else None) if reason]
        if reasons:
            self._say(f"copies in memory: {reasons[0]}: going on without")
            self._ended = True
        return not reasons

    def _keep(self, step: int, shards: list[Shard]) -> None:
        folder, failed = self.place / name_of(step), None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._write(folder, shards)
        except OSError as error:
            failed = error
        if self._to is not None and self._from is not None:
            work = self._send(None if failed else folder, self._ranks.rank, self._to)
            try:
                self._receive(folder, self._from, self._from)
            except OSError as error:
                failed = failed or error
            for one in work:
                one.wait()
        for before in committed_steps(self.place)[:-KEPT]:
            shutil.rmtree(self.place / name_of(before), ignore_errors=True)
        if failed:
            raise failed

    def _write(self, folder: Path, shards: list[Shard]) -> None:
        name = f"rank-{self._ranks.rank:05d}"
        with open(folder / f"{name}.part", "wb") as file:
            note = write_shards(file, shards)
        _commit(folder, name, note)

    def _send(self, folder: Path | None, whose: int, to: int) -> list[Any]:
        """The file of rank ``whose``, or that there is none; what is to be waited for."""
        name = f"rank-{whose:05d}"
        content, digest = torch.empty(0, dtype=torch.uint8), b"\0" * 32
        if folder is not None:
            path = folder / f"{name}{SUFFIX}"
            content = torch.from_file(str(path), size=path.stat().st_size, dtype=torch.uint8)
            digest = bytes.fromhex(json.loads((folder / f"{name}.json").read_text())["sha256"])
        head = torch.frombuffer(bytearray(len(content).to_bytes(8, "little") + digest), dtype=torch.uint8)
        parts = [head, *content.split(BLOCK_BYTES)] if len(content) else [head]
        return [dist.isend(part, to, group=self._group) for part in parts]

    def _receive(self, folder: Path, whose: int, source: int) -> None:
        """What another rank sends of rank ``whose``: into ``folder``. All is received, even if it cannot be written."""
        head = torch.empty(40, dtype=torch.uint8)
        dist.recv(head, source, group=self._group)
        head_bytes = head.numpy().tobytes()
        left, name, failed = int.from_bytes(head_bytes[:8], "little"), f"rank-{whose:05d}", None
        note = {"bytes": left, "sha256": head_bytes[8:].hex()}
        if not left:
            return
        with open(folder / f"{name}.part", "wb") as file:
            while left:
                part = torch.empty(min(left, BLOCK_BYTES), dtype=torch.uint8)
                dist.recv(part, source, group=self._group)
                left -= len(part)
                try:
                    if failed is None:
                        file.write(part.numpy().data)
                except OSError as error:
                    failed = error
        if failed is not None:
            raise failed
        _commit(folder, name, note)

    def _found(self) -> dict[int, list[int]]:
        """By step the ranks whose parts are on this node."""
        return {
            step: sorted(int(note.stem[5:]) for note in (self.place / name_of(step)).glob("rank-*.json"))
            for step in committed_steps(self.place)
        }

    def _bring(self, step: int, found: list[list[int]]) -> None:
        """Every rank that has not its own part on its node gets it from the first one that has it."""
        folder, mine = self.place / name_of(step), self._ranks.rank
        folder.mkdir(parents=True, exist_ok=True)
        for rank, there in enumerate(found):
            if rank in there:
                continue
            source = next(other for other, parts in enumerate(found) if rank in parts)
            if mine == source:
                for one in self._send(folder, rank, rank):
                    one.wait()
            elif mine == rank:
                with suppress(OSError):  # found to be missing when it is read
                    self._receive(folder, rank, source)

    def _read(self, step: int) -> dict[str, Tensor] | None:
        """This rank's part; None if it is not as it was written."""
        path = self.place / name_of(step) / f"rank-{self._ranks.rank:05d}{SUFFIX}"
        try:
            note = json.loads(path.with_suffix(".json").read_text())
            return load_file(path) if sha256_of(path) == note["sha256"] else None
        except (OSError, ValueError, KeyError):
            return None


def neighbours(nodes: list[str], rank: int) -> tuple[int | None, int | None]:
    """The ranks that ``rank`` sends its part to and gets one from; (None, None) where all are on one node.

    Nodes form a ring in the order of their first ranks; a rank's copy is with the one of the same place on the next.
    """
    ranks_of: dict[str, list[int]] = {}
    for other, node in enumerate(nodes):
        ranks_of.setdefault(node, []).append(other)
    ring = list(ranks_of.values())
    if len(ring) == 1 or len({len(ranks) for ranks in ring}) > 1:
        return None, None
    at = next(number for number, ranks in enumerate(ring) if rank in ranks)
    place = ring[at].index(rank)
    return ring[(at + 1) % len(ring)][place], ring[at - 1][place]


def _commit(folder: Path, name: str, note: dict[str, Any]) -> None:
    os.replace(folder / f"{name}.part", folder / f"{name}{SUFFIX}")
    (folder / f"{name}.note").write_text(json.dumps(note))
    os.replace(folder / f"{name}.note", folder / f"{name}.json")


def _fits(shard: Shard, values: dict[str, Tensor]) -> bool:
    value = values.get(shard.name)
    return value is not None and (value.shape, value.dtype) == (shard.tensor.shape, shard.tensor.dtype)
