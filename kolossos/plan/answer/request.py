"""A question to the planner as a person puts it, in names and numbers, and what it becomes: jobs and a layout.

Errors begin with the name of the field that is wrong.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from kolossos.errors import InputError, nearest
from kolossos.plan.answer.calibrate_on import Calibration, calibrate
from kolossos.plan.answer.layout_text import read_layout
from kolossos.plan.answer.nothing_fits import nothing_fits
from kolossos.plan.answer.one_kind import Answer, answer
from kolossos.plan.job import DEFAULT_SOFTWARE, MEMORY_MARGIN, Job
from kolossos.plan.mixed.ways import Mixed, plan_mixed
from kolossos.plan.search.search import OBJECTIVES
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.layout import Layout, Precision
from kolossos.specs.model import ModelSpec

MOST_TOKENS = 1e18
MOST = {"gpus": 10**8, "seq_len": 10**8, "global_batch": 10**8, "global_batch_tokens": 1e12}
"""No computer holds or no run asks for more; below them every figure stays a number."""


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """Names of the catalogue or files, and what was asked besides; None: the planner's choice."""

    model: str
    cluster: str
    tokens: float
    gpus: int | None = None
    layout: str | None = None
    """As ``tp=8,pp=4``."""
    seq_len: int | None = None
    global_batch: int | None = None
    global_batch_tokens: float | None = None
    precision: str | None = None
    objective: str = "time"
    software: str | None = None
    any_schedule: bool = False
    memory_margin: float | None = None
    """Share of each card's memory to keep free."""
    calibrate_on: Path | None = None
    """CSV of steps that were measured on this machine."""


@dataclass(frozen=True)
class Question:
    """The request with everything read: one job, or one for each kind of GPU of a mixed cluster."""

    jobs: list[Job]
    cluster: ClusterSpec
    tokens: float
    objective: str
    layout: Layout | None
    calibration: Calibration | None = None

    @property
    def is_mixed(self) -> bool:
        """Whether several kinds of GPU are to work together."""
        return len(self.jobs) > 1


def read_request(request: PlanRequest) -> Question:
    """Read names and files; InputError for anything that cannot be."""
    _check(request)
    model, cluster = load_model(request.model), load_cluster(request.cluster)
    if len(cluster.pools) > 1 and request.layout is None and request.gpus is None:
        if request.calibrate_on:
            raise InputError("calibrate_on is not for several kinds of GPU at once; with gpus the first is planned")
        jobs = [_job(request, model, cluster, place) for place in range(len(cluster.pools))]
        return Question(jobs, cluster, request.tokens, request.objective, None)
    job = _job(request, model, cluster)
    layout = read_layout(request.layout, job) if request.layout else None
    if layout and request.gpus and layout.world_size != request.gpus:
        raise InputError(
            f"layout {request.layout}: tp x pp x cp x dp_shard x dp_replicate = {layout.world_size:,}, which differs "
            f"from the {request.gpus:,} GPUs asked for; leave dp_shard out, or choose it so that the product is "
            f"{request.gpus:,}"
        )
    calibration = calibrate(job, request.calibrate_on) if request.calibrate_on else None
    job = job.with_layout(layout) if layout else job
    return Question([job], cluster, request.tokens, request.objective, layout, calibration)


def answer_question(question: Question) -> Answer:
    """The plan on one kind of GPU."""
    asked = (question.tokens, question.layout, question.objective, question.calibration)
    return answer(question.jobs[0], question.cluster, *asked)


def answer_mixed(question: Question) -> Mixed:
    """The plan on several kinds of GPU; InputError where nothing fits."""
    mixed = plan_mixed(question.jobs, question.objective)
    if mixed.best is None:
        misses = zip(question.jobs, mixed.alone, strict=True)
        raise InputError("; ".join(nothing_fits(job, found.leanest) for job, found in misses))
    return mixed


def _check(request: PlanRequest) -> None:
    """Everything that can be said before the search."""
    if not 0 < request.tokens <= MOST_TOKENS:
        raise InputError(f"tokens {request.tokens:g}: expected a number above 0, and at most {MOST_TOKENS:g}")
    for name, most in MOST.items():
        value = getattr(request, name)
        if value is not None and not 1 <= value <= most:
            shown = f"{value:.6g}" if isinstance(value, float) or abs(value) < 1e18 else "that large"
            raise InputError(f"{name} {shown}: expected a number of at least 1, and at most {most:g}")
    if request.memory_margin is not None and not 0 <= request.memory_margin < 1:
        raise InputError(f"memory_margin {request.memory_margin:g}: expected a share of the card's memory, from 0 to 1")
    if request.objective not in OBJECTIVES:
        raise InputError(f"objective {request.objective}: unknown{nearest(request.objective, OBJECTIVES)}")
    if request.precision and request.precision not in get_args(Precision):
        raise InputError(f"precision {request.precision}: unknown{nearest(request.precision, get_args(Precision))}")


def _job(request: PlanRequest, model: ModelSpec, cluster: ClusterSpec, pool: int = 0) -> Job:
    there = cluster.pools[pool]
    if request.gpus and request.gpus > there.count:
        raise InputError(f"gpus {request.gpus:,}: {cluster.name} has {there.count:,} {there.gpu}")
    return Job.of(
        model,
        cluster,
        there,
        n_gpus=request.gpus,
        seq_len=request.seq_len,
        global_batch=request.global_batch,
        global_batch_tokens=request.global_batch_tokens,
        precision=request.precision,  # pyright: ignore[reportArgumentType]
        software=request.software or DEFAULT_SOFTWARE,
        any_schedule=request.any_schedule,
        memory_margin=MEMORY_MARGIN if request.memory_margin is None else request.memory_margin,
    )
