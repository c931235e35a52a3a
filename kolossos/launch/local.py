"""A job on this computer."""

import os
import sys

from kolossos.errors import InputError
from kolossos.launch.job import Job
from kolossos.launch.node import Node, run_node


def run_here(job: Job) -> int:
    """Start all ranks here and wait for them; the exit code of the run.

    Raises:
        InputError: the job is for several nodes, or this computer has GPUs, and fewer than it has ranks.
    """
    if job.nodes > 1:
        raise InputError(
            f"{job.nodes} nodes of {job.per_node} ranks: on this computer all {job.ranks} ranks are on one"
        )
    if 0 < (devices := _gpus()) < job.ranks:
        raise InputError(f"the layout has {job.ranks} ranks, and this computer {devices} GPUs: a rank needs one")
    if not devices and job.ranks > (cores := os.cpu_count() or 1):
        _say(f"{job.ranks} ranks on {cores} cores: they take turns")
    return run_node(Node(job.ranks, job=f"{job.name}-{os.getpid()}"), ["train", *job.training], job.restarts, _say)


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
