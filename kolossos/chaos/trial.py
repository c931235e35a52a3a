"""A run under random faults, one after the other, each when the run has recovered from the one before."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from kolossos.chaos.faults import Fault, Kind, draw, free_disk
from kolossos.chaos.rank import run_rank_aside
from kolossos.launch.job import REFUSED, STOPPED
from kolossos.launch.node import CRASH
from kolossos.launch.supervise import Log, Replicas
from kolossos.runs.events import read_events
from kolossos.runs.paths import RunPaths

PATIENCE_S = 240.0  # for a run to recover from one fault


class Stuck(Exception):
    """The run does not recover from a fault."""


@dataclass
class Suffered:
    """What one fault did, in seconds from when it was done; None: does not apply, or never.

    noticed_s: until a replica was counted as lost. went_on_s: until the next step was kept by those who were left (of
    a fault that ends all: by anybody). back_s: until a step was kept by all replicas. steps_redone: that were kept
    before and had to be computed again.
    """

    kind: str
    replicas: tuple[int, ...]
    at_step: int
    noticed_s: float | None = None
    went_on_s: float | None = None
    back_s: float | None = None
    steps_redone: int = 0


@dataclass
class Trial:
    """``command`` run by ``replicas`` of ``ranks`` in ``folder``, with ``faults`` faults of ``kinds``.

    every_s: mean time between a recovery and the next fault.
    """

    folder: Path
    command: list[str]
    replicas: int
    ranks: int
    kinds: dict[str, Kind]
    faults: int
    every_s: float
    silent_s: float
    seed: int = 0
    say: Callable[[str], None] = lambda _: None
    target: Callable[[dict[str, str], list[str]], None] = run_rank_aside
    host: str = "127.0.0.1"
    suffered: list[Suffered] = field(default_factory=list)
    wall_s: float = 0.0
    _random: random.Random = field(init=False)
    _now: Replicas | None = field(init=False, default=None)
    _due_s: float | None = field(init=False, default=None)
    _later: list[tuple[float, Callable[[], None]]] = field(init=False, default_factory=list)
    _fault: tuple[Fault, Suffered, float, int] | None = field(init=False, default=None)
    _members: tuple[int, ...] = field(init=False, default=())
    _epoch: int = field(init=False, default=-1)
    _kept: int = field(init=False, default=0)
    _restarted: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def run(self) -> int:
        """Until the run is finished; its exit code."""
        began_s = time.monotonic()
        log = Log(self.folder, self.replicas, lambda _: None)

        def heard(what: dict[str, Any]) -> None:
            log(what)
            self._hear(what)

        while True:
            self._epoch, self._members = -1, ()
            self._now = Replicas(
                self.command,
                self.replicas,
                self.ranks,
                silent_s=self.silent_s,
                restarts=10**6,
                log=heard,
                target=self.target,
                host=self.host,
            )
            try:
                code = self._now.run(self._tick)
            except Stuck as stuck:
                self.say(str(stuck))
                return CRASH
            expected = self._fault is not None and self._fault[0].ends and code in (STOPPED, REFUSED)
            free_disk(self.folder)
            if not expected:
                self.wall_s = time.monotonic() - began_s
                return code

    def processes(self, replica: int) -> list[int]:
        assert self._now is not None
        return [p.pid for p in self._now.all[replica].processes if p.is_alive() and p.pid is not None]

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, what))

    def _tick(self, _: Replicas) -> None:
        now = time.monotonic()
        for entry in [entry for entry in self._later if entry[0] <= now]:
            self._later.remove(entry)
            entry[1]()
        self._look_at_steps(now)
        if self._fault is not None:
            if now - self._fault[2] > PATIENCE_S:
                raise Stuck(f"not recovered from {self._fault[0]} after {PATIENCE_S:g} s")
            return
        if len(self.suffered) < self.faults and len(self._members) == self.replicas and self._kept:
            if self._due_s is None:
                self._due_s = now + self._random.expovariate(1 / self.every_s)
            elif now >= self._due_s:
                self._due_s = None
                self._do(now)

    def _do(self, now: float) -> None:
        fault = draw(self._random, self.replicas, self.kinds)
        suffered = Suffered(fault.kind, fault.replicas, self._kept)
        self.suffered.append(suffered)
        self._fault, self._restarted = (fault, suffered, now, self._epoch), False
        self.say(f"fault {len(self.suffered)} of {self.faults} at step {self._kept}: {fault.kind} {fault.replicas}")
        self.kinds[fault.kind].do(self, fault, self._random)

    def _hear(self, what: dict[str, Any]) -> None:
        self._restarted |= "started" in what
        if "members" in what:
            self._members = tuple(what["members"])
        if "lost" in what and self._fault is not None and self._fault[1].noticed_s is None:
            self._fault[1].noticed_s = time.monotonic() - self._fault[2]

    def _look_at_steps(self, now: float) -> None:
        """See which step was kept last; a fault is over when all replicas keep steps again."""
        assert self._now is not None
        on, epoch, unix_s = self._now.coordinator.kept
        if not isinstance(on, int) or on < 0:
            return
        fresh = (on + 1, epoch) != (self._kept, self._epoch)
        before, self._kept, self._epoch = self._kept, on + 1, epoch
        if self._fault is None or not fresh:
            return
        fault, suffered, at_s, epoch_then = self._fault
        since_s = now - at_s - max(0.0, time.time() - unix_s)
        if since_s < 0:
            return
        suffered.steps_redone += max(0, before + 1 - self._kept)
        another = self._restarted if fault.ends else epoch != epoch_then
        if (another or not (fault.loses or fault.ends)) and suffered.went_on_s is None:
            suffered.went_on_s = since_s
        if suffered.went_on_s is not None and not self._later and self._all_take_part(epoch):
            suffered.back_s = since_s
            self._fault = None

    def _all_take_part(self, epoch: int) -> bool:
        assert self._now is not None
        return len(self._members) == self.replicas and epoch == self._now.coordinator.epoch


def compared(folder: Path, unbroken: Path) -> dict[str, Any]:
    """Two runs of one run file: events that differ in a value that is computed, and whether the last weights do."""
    there, here = (_values(RunPaths(path).metrics) for path in (unbroken, folder))
    differing = [step for step in sorted(there.keys() | here.keys()) if there.get(step) != here.get(step)]
    return {
        "events": len(there),
        "events_that_differ": len(differing),
        "first_that_differs": differing[0] if differing else None,
        "weights_equal": _weights(folder) == _weights(unbroken),
    }


def summary(suffered: list[Suffered]) -> list[dict[str, Any]]:
    """By kind: how many, and of each time the median and the longest."""
    rows = []
    for kind in dict.fromkeys(one.kind for one in suffered):
        of_kind = [one for one in suffered if one.kind == kind]
        row: dict[str, Any] = {"kind": kind, "faults": len(of_kind)}
        for name in ("noticed_s", "went_on_s", "back_s"):
            times = sorted(value for one in of_kind if (value := getattr(one, name)) is not None)
            row[name] = {"median": times[len(times) // 2], "most": times[-1]} if times else None
        row["steps_redone"] = {"all": sum(one.steps_redone for one in of_kind)}
        rows.append(row)
    return rows


def as_json(suffered: list[Suffered]) -> list[dict[str, Any]]:
    """Every fault."""
    return [asdict(one) for one in suffered]


UNKEPT = "miscomputed"  # events of what a fault did, and of nothing that was kept
COMPUTED = ("loss", "grad_norm", "balance", "router_z", "validation_loss", "lr_factor")


def _values(metrics: Path) -> dict[tuple[int, str], tuple[Any, ...]]:
    return {
        (e["step"], e["kind"]): tuple(e.get(name) for name in COMPUTED)
        for e in read_events(metrics)
        if e["kind"] != UNKEPT
    }


def _weights(folder: Path) -> dict[str, str]:
    """The hash of each file of the newest checkpoint."""
    newest = max(RunPaths(folder).checkpoints.glob("step-*"), default=None)
    if newest is None:
        return {}
    hashes = {file.name: sha256(file.read_bytes()).hexdigest() for file in newest.glob("*.safetensors")}
    return {"step": newest.name, **hashes, "world": json.dumps(sorted(hashes))}
