"""A training job: which command its ranks run, on how many nodes, with how many ranks each. No torch."""

import re
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path

from kolossos.errors import InputError
from kolossos.specs.run import RunSpec

STOPPED = 75
"""EX_TEMPFAIL of sysexits.h: stopped and saved, the same command goes on."""

REFUSED = 2
"""A person has to do something first: starting again would end alike."""

PORT = 29400
"""Where the ranks of several nodes meet; the default of torchrun."""

SPARE_TIME_S = 120
"""Between the signal that asks a job to end and its end: a step, and a checkpoint on the disk."""


@dataclass(frozen=True)
class ReplicaJob:
    """Of a job whose replicas come and go: how many, on how many of its nodes each, and the limits of [survival].

    folder: of the run.
    """

    count: int
    nodes: int
    folder: str
    silent_s: float
    stuck_s: float


@dataclass(frozen=True)
class Job:
    """What ``kolossos train`` is given on every rank, and where the ranks are.

    name: letters, digits and dashes. training: the arguments after ``train``. restarts: how often to begin again
    after a crash. spares: nodes beyond ``nodes`` that are asked for, so that sick ones can be left out. replicas: where
    each is a job of its own.
    """

    name: str
    training: tuple[str, ...]
    nodes: int
    per_node: int
    restarts: int = 3
    spares: int = 0
    replicas: "ReplicaJob | None" = None

    @property
    def ranks(self) -> int:
        """Of the whole job."""
        return self.nodes * self.per_node


def job_of(
    name: str, training: list[str], ranks: int, *, per_node: int | None = None, restarts: int = 3, spares: int = 0
) -> Job:
    """``ranks`` on as few nodes of ``per_node`` (or fewer, equal ones) as hold them; all on one if it is not given.

    Raises:
        InputError: the ranks cannot be shared out equally.
    """
    if per_node is None:
        per_node = ranks
    if per_node < 1 or restarts < 0 or spares < 0:
        raise InputError(
            f"{per_node} ranks a node, {restarts} restarts, {spares} spares: none can be negative or no rank"
        )
    if ranks < per_node:
        per_node = ranks
    if ranks % per_node:
        raise InputError(
            f"the layout has {ranks} ranks, which nodes of {per_node} do not hold in equal parts; "
            f"{gcd(ranks, per_node)} a node would do"
        )
    return Job(kubernetes_name(name), tuple(training), ranks // per_node, per_node, restarts, spares)


def with_replicas(job: Job, spec: RunSpec, folder: Path) -> Job:
    """``job`` with each replica of ``spec`` on nodes of its own: as many ranks as a node holds, or all of a replica.

    Raises:
        InputError: the ranks of a replica cannot be shared out equally.
    """
    count, survival = spec.layout.replicas, spec.survival
    ranks = spec.layout.world_size // count
    one = job_of(job.name, list(job.training), ranks, per_node=min(job.per_node, ranks))
    replicas = ReplicaJob(count, one.nodes, str(folder), survival.silent_seconds, survival.stuck_seconds)
    return replace(job, nodes=count * one.nodes, per_node=one.per_node, replicas=replicas)


def kubernetes_name(name: str) -> str:
    """``name`` as clusters take it: small letters, digits and dashes, 40 at most (RFC 1123, room for what is added)."""
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return made if made[:1].isalpha() else f"run-{made}".strip("-")


def training_arguments(run: Path, overrides: list[str], folder: Path) -> list[str]:
    """What every rank is given after ``train``."""
    return [str(run), "--folder", str(folder), *(part for value in overrides for part in ("--set", value))]
