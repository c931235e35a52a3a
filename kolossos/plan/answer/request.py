"""A question to the planner as a person puts it, in names and numbers, and what it becomes: jobs and a layout.

Errors begin with the name of the field that is wrong.
"""

from dataclasses import dataclass
from typing import get_args

from kolossos.errors import InputError, nearest
from kolossos.plan.answer.nothing_fits import nothing_fits
from kolossos.plan.answer.one_kind import Answer, answer
from kolossos.plan.job import DEFAULT_SOFTWARE, MEMORY_MARGIN, Job
from kolossos.plan.mixed.ways import Mixed, plan_mixed
from kolossos.plan.search.search import OBJECTIVES
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.layout import Layout, Precision
from kolossos.specs.model import ModelSpec
from kolossos.specs.overrides import apply_overrides

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


@dataclass(frozen=True)
class Question:
    """The request with everything read: one job, or one for each kind of GPU of a mixed cluster."""

    jobs: list[Job]
    cluster: ClusterSpec
    tokens: float
    objective: str
    layout: Layout | None

    @property
    def is_mixed(self) -> bool:
        """Whether several kinds of GPU are to work together."""
        return len(self.jobs) > 1


def read_request(request: PlanRequest) -> Question:
    """Read names and files; InputError for anything that cannot be."""
    _check(request)
    model, cluster = load_model(request.model), load_cluster(request.cluster)
    if len(cluster.pools) > 1 and request.layout is None and request.gpus is None:
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
    job = job.with_layout(layout) if layout else job
    return Question([job], cluster, request.tokens, request.objective, layout)


def answer_question(question: Question) -> Answer:
    """The plan on one kind of GPU."""
    return answer(question.jobs[0], question.cluster, question.tokens, question.layout, question.objective)


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


def read_layout(text: str, job: Job) -> Layout:
    """``tp=8,pp=4,...``: what is not said is one, or the job's; dp_shard takes the GPUs that are left."""
    said: dict[str, object] = {}
    parts = [part for part in text.replace(" ", "").split(",") if part]
    apply_overrides(said, parts, what="layout", example="tp=8")
    values = {"micro_batch_size": 1, "seq_len": job.seq_len, "sharding": "optimizer", "precision": job.precisions[0]}
    values |= said
    for word, meant in MEANT.items():
        if word in said or word.upper() in said:
            raise InputError(f"layout {text[:120]}: unknown key '{word}': write {meant}")
    where = f"layout {text if len(text) <= 120 else text[:117] + '...'}"
    Layout.parse({**values, "global_batch_size": _product(values, *BATCH, where=where)}, where)
    if "dp_shard" not in said:
        values["dp_shard"] = max(job.n_gpus // _product(values, "tp", "pp", "cp", "dp_replicate", where=where), 1)
    if "global_batch_size" not in said:
        unit = _product(values, *BATCH, where=where)
        if values.get("vp", 1) != 1:
            unit *= _product(values, "pp", where=where)
        values["global_batch_size"] = max(round(job.batch / unit), 1) * unit
    return Layout.parse(values, where)


MEANT = {
    "dp": "dp_shard (and dp_replicate)", "mbs": "micro_batch_size", "gbs": "global_batch_size",
    "sp": "nothing: tp has it",
    "fsdp": "sharding=parameters", "zero": "sharding=optimizer (1), gradients (2) or parameters (3)", "ac": "recompute",
    "zero1": "sharding=optimizer", "zero2": "sharding=gradients", "zero3": "sharding=parameters", "seq": "seq_len",
    "hsdp": "dp_replicate", "ddp": "sharding=none", "vpp": "vp", "dtype": "precision",
}  # fmt: skip
"""Words of other software for what is called otherwise here."""
BATCH = ("micro_batch_size", "dp_shard", "dp_replicate")


def _product(values: dict, *names: str, where: str) -> int:
    """Of sizes that must be whole numbers above 0."""
    product = 1
    for name in names:
        size = values.get(name, 1)
        if not isinstance(size, int) or size < 1:
            raise InputError(f"{where}: key '{name}' = {size!r}: expected a whole number of at least 1")
        product *= size
    return product
