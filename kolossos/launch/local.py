"""A job on this computer."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kolossos.errors import InputError
from kolossos.launch.job import Job
from kolossos.launch.node import Node, run_node
from kolossos.runs.lock import only_one
from kolossos.specs.run import RunSpec


def run_here(job: Job) -> int:
    """Start all ranks here and wait for them; the exit code of the run.

    Raises:
        InputError: the job is for several nodes, or this computer has GPUs, and fewer than it has ranks.
    """
    if job.nodes > 1:
        raise InputError(
            f"{job.nodes} nodes of {job.per_node} ranks: on this computer all {job.ranks} ranks are on one"
        )
    devices = _require_gpus(job.ranks)
    if not devices and job.ranks > (cores := os.cpu_count() or 1):
        _say(f"{job.ranks} ranks on {cores} cores: they take turns")
    return run_node(Node(job.ranks, job=f"{job.name}-{os.getpid()}"), ["train", *job.training], job.restarts, _say)


def run_replicas_here(spec: RunSpec, training: Sequence[str], folder: Path, restarts: int) -> int:
    """Start replicas that come and go here and wait for them; the exit code of the run.

    Raises:
        InputError: another process trains in ``folder``.
    """
    from multiprocessing import forkserver

    from kolossos.launch.replicas import FORKED, LOADED_ONCE, prepare_environment

    layout, survival = spec.layout, spec.survival
    ranks = layout.world_size // layout.replicas
    with only_one(folder):
        prepare_environment()
        FORKED.set_forkserver_preload(LOADED_ONCE)
        forkserver.ensure_running()  # loads torch while this process does
        _require_gpus(layout.world_size)
        from kolossos.launch.supervise import Log, Replicas

        replicas = Replicas(
            ["train", *training],
            layout.replicas,
            ranks,
            silent_s=survival.silent_seconds,
            stuck_s=survival.stuck_seconds,
            restarts=restarts,
            log=Log(folder, layout.replicas, _say),
        )
        return replicas.run()


def _require_gpus(ranks: int) -> int:
    """How many there are; InputError if there are some, and fewer than ranks."""
    import torch

    devices = torch.cuda.device_count()
    if 0 < devices < ranks:
        raise InputError(f"the layout has {ranks} ranks, and this computer {devices} GPUs: a rank needs one")
    return devices


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
