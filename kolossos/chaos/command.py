"""A run file through a trial by faults: the run without any, the run with them, and how they compare."""

import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from kolossos.chaos.faults import DISK_FULL, FLIPPED, KINDS, Kind
from kolossos.chaos.hosts import Hosts, run_rank_on_host
from kolossos.errors import InputError, nearest
from kolossos.launch.job import training_arguments
from kolossos.launch.replicas import FORKED, LOADED_ONCE, prepare_environment
from kolossos.runs.folder import RunFolder
from kolossos.runs.lock import only_one
from kolossos.runs.paths import is_run_folder
from kolossos.specs.run import load_run
from kolossos.train.layouts import require_survivable, require_trainable

UNBROKEN, BROKEN = "unbroken", "broken"
SMALL_DISK = 1 << 30


@dataclass(frozen=True)
class ChaosOutcome:
    """What was suffered (a record a fault, and by kind), and how the run compares with the unbroken one.

    code: the exit code of the run with faults; wall_s: of both.
    """

    suffered: list[dict[str, Any]]
    by_kind: list[dict[str, Any]]
    comparison: dict[str, Any]
    code: int
    wall_s: dict[str, float]

    @property
    def is_equal(self) -> bool:
        """Whether the run finished with every value and the last weights of the unbroken one."""
        same = self.comparison["weights_equal"] and not self.comparison["events_that_differ"]
        return bool(self.code == 0 and same and self.comparison["events"])

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "equal": self.is_equal,
            "exit_code": self.code,
            "comparison": self.comparison,
            "wall_s": self.wall_s,
            "by_kind": self.by_kind,
            "faults": self.suffered,
        }


def run_chaos(
    run: Path,
    overrides: list[str],
    folder: Path,
    faults: int,
    every_s: float,
    *,
    kinds: str | None = None,
    seed: int = 0,
    fresh: bool = False,
    on_hosts: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> ChaosOutcome:
    """Train ``run`` twice in ``folder``, which must be new or empty: ``unbroken``, and ``broken`` by faults.

    on_hosts: each replica in a network namespace of its own, whose cable has faults, too.

    Raises:
        InputError: a run that cannot be tried so; a folder with something in it; no kind of fault of that name.
    """
    spec = load_run(run, overrides)
    layout, survival = spec.layout, spec.survival
    if not survival.replicas:
        raise InputError(f"{run}: survival.replicas is false: no replica would outlive another")
    require_survivable(spec)
    require_trainable(layout, spec.model, layout.world_size)
    hosts = Hosts(f"k{os.getpid()}", layout.replicas) if on_hosts else None
    known = KINDS | (hosts.kinds() if hosts else {}) | (DISK_FULL if _own_disk(folder) else {})
    known |= FLIPPED if spec.compute.replay_every else {}
    chosen = _chosen(kinds, known)
    _make_room(folder, fresh)
    prepare_environment()
    FORKED.set_forkserver_preload(LOADED_ONCE)
    forkserver.ensure_running()  # loads torch while this process does
    from kolossos.chaos.rank import run_rank_aside
    from kolossos.chaos.trial import Trial, as_json, compared, summary

    def tried(name: str, n_faults: int, values: list[str]) -> tuple[Trial, int]:
        path = folder / name
        say(f"{name}: {layout.replicas} replicas, {spec.schedule.steps} steps, {n_faults} faults")
        trial = Trial(
            path,
            ["train", *training_arguments(run, [*overrides, *values], path)],
            layout.replicas,
            layout.world_size // layout.replicas,
            chosen,
            n_faults,
            every_s,
            survival.silent_seconds,
            seed,
            say,
            target=partial(run_rank_on_host, hosts.name) if hosts else run_rank_aside,
            host=hosts.coordinator if hosts else "127.0.0.1",
        )
        with only_one(path):
            return trial, trial.run()

    with hosts.there() if hosts else nullcontext():
        unbroken, code = tried(UNBROKEN, 0, [])
        if code:
            raise InputError(f"{unbroken.folder}: the run without faults ended with exit code {code}")
        broken, code = tried(BROKEN, faults, _chosen_here(unbroken.folder))
    return ChaosOutcome(
        as_json(broken.suffered),
        summary(broken.suffered),
        compared(broken.folder, unbroken.folder),
        code,
        {"unbroken": unbroken.wall_s, "broken": broken.wall_s},
    )


def _chosen_here(folder: Path) -> list[str]:
    """What the machine chose for the run in ``folder``, so that another run is not left to choose otherwise."""
    spec = RunFolder.open(folder).spec
    return [f"layout.precision='{spec.layout.precision}'", f"compute.threads={spec.compute.threads}"]


def _make_room(folder: Path, fresh: bool) -> None:
    """``folder``, new or empty; ``fresh``: without the runs of an earlier trial."""
    for name in (UNBROKEN, BROKEN):
        if fresh and is_run_folder(folder / name):
            shutil.rmtree(folder / name)
    if folder.exists() and any(place.name != "lost+found" for place in folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)


def _chosen(kinds: str | None, known: dict[str, Kind]) -> dict[str, Kind]:
    if kinds is None:
        return known
    chosen: dict[str, Kind] = {}
    for part in kinds.split(","):
        found = {name: kind for name, kind in known.items() if part.strip() in name}
        if not found:
            raise InputError(f"no kind of fault {part.strip()!r}{nearest(part, list(known))}")
        chosen |= found
    return chosen


def _own_disk(folder: Path) -> bool:
    """Whether ``folder`` is where a small file system is mounted, that may be filled."""
    return os.path.ismount(folder) and shutil.disk_usage(folder).total < SMALL_DISK
