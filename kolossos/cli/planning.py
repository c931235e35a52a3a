"""What ``kolossos plan`` does: reads the request, plans, and prints or writes the answer."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import typer

from kolossos.errors import InputError, nearest
from kolossos.plan.answer import Answer, answer
from kolossos.plan.export import EXPORTS, write_export
from kolossos.plan.job import DEFAULT_SOFTWARE, Job
from kolossos.plan.nothing_fits import nothing_fits
from kolossos.plan.search import OBJECTIVES
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.layout import Layout, Precision
from kolossos.specs.model import ModelSpec
from kolossos.specs.overrides import apply_overrides

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Request:
    """The command line of ``kolossos plan``."""

    model: str
    cluster: str
    tokens: float
    gpus: int | None
    layout: str | None
    seq_len: int | None
    global_batch: int | None
    global_batch_tokens: float | None
    precision: str | None
    objective: str
    software: str | None
    any_schedule: bool
    why: bool
    json: bool
    plot: Path | None
    trace: Path | None
    export: str | None
    out: Path | None


def run_plan(request: Request) -> None:
    """Plan and show. InputError for anything that cannot be."""
    _check(request)
    model, cluster = load_model(request.model), load_cluster(request.cluster)
    if len(cluster.pools) > 1 and request.layout is None and request.gpus is None:
        _plan_mixed(request, model, cluster)
        return
    job = _job(request, model, cluster)
    layout = read_layout(request.layout, job) if request.layout else None
    if layout and request.gpus and layout.world_size != request.gpus:
        raise InputError(
            f"--layout {request.layout}: tp x pp x cp x dp_shard x dp_replicate = {layout.world_size:,}, which differs "
            f"from --gpus {request.gpus:,}; leave dp_shard out, or choose it so that the product is {request.gpus:,}"
        )
    job = job.with_layout(layout) if layout else job
    found = answer(job, cluster, request.tokens, layout, request.objective)
    _write(request, found)
    bought = _purchases(found) if request.why else []
    if request.json:
        from kolossos.plan.record import answer_record

        _print_json(answer_record(found, bought))
        return
    from kolossos.cli.plan_tables import show_answer

    show_answer(found, bought, request.why)


def _purchases(found: Answer) -> list:
    from kolossos.plan.explain import purchases

    return purchases(found)


def _plan_mixed(request: Request, model: ModelSpec, cluster: ClusterSpec) -> None:
    from kolossos.plan.mixed import plan_mixed

    for wanted in ("plot", "trace", "export", "why"):
        if getattr(request, wanted):
            raise InputError(
                f"--{wanted}: not for a cluster of several kinds of GPU; plan its first kind with --gpus N"
            )
    jobs = [_job(request, model, cluster, place) for place in range(len(cluster.pools))]
    mixed = plan_mixed(jobs, request.objective)
    if mixed.best is None:
        misses = [(job, found.leanest) for job, found in zip(jobs, mixed.alone, strict=True)]
        raise InputError("; ".join(nothing_fits(job, leanest) for job, leanest in misses))
    if request.json:
        from kolossos.plan.record import mixed_record

        _print_json(mixed_record(jobs, cluster, mixed, request.tokens))
        return
    from kolossos.cli.plan_tables import show_mixed

    show_mixed(jobs, cluster, mixed, request.tokens)


def _check(request: Request) -> None:
    """Everything that can be said before the search."""
    if request.tokens <= 0:
        raise InputError(f"--tokens {request.tokens:g}: expected a number above 0")
    for name in ("gpus", "seq_len", "global_batch", "global_batch_tokens"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} {value}: expected a number of at least 1")
    if request.objective not in OBJECTIVES:
        raise InputError(f"--objective {request.objective}: unknown{nearest(request.objective, OBJECTIVES)}")
    if request.precision and request.precision not in get_args(Precision):
        raise InputError(f"--precision {request.precision}: unknown{nearest(request.precision, get_args(Precision))}")
    if request.export and request.export not in EXPORTS:
        raise InputError(f"--export {request.export}: unknown{nearest(request.export, EXPORTS)}")
    if bool(request.export) != bool(request.out):
        raise InputError("--export FORMAT and --out FILE belong together")
    if request.plot and request.plot.suffix not in PICTURES:
        raise InputError(f"--plot {request.plot}: expected a name that ends in {', '.join(PICTURES)}")
    for path in (request.plot, request.trace, request.out):
        if path and not path.absolute().parent.is_dir():
            raise InputError(f"{path}: no such folder: {path.absolute().parent}")


def _job(request: Request, model: ModelSpec, cluster: ClusterSpec, pool: int = 0) -> Job:
    there = cluster.pools[pool]
    if request.gpus and request.gpus > there.count:
        raise InputError(f"--gpus {request.gpus:,}: {cluster.name} has {there.count:,} {there.gpu}")
    return Job.of(
        model,
        cluster,
        pool=there,
        n_gpus=request.gpus,
        seq_len=request.seq_len,
        global_batch=request.global_batch,
        global_batch_tokens=request.global_batch_tokens,
        precision=request.precision,  # pyright: ignore[reportArgumentType]
        software=request.software or DEFAULT_SOFTWARE,
        any_schedule=request.any_schedule,
    )


def read_layout(text: str, job: Job) -> Layout:
    """``tp=8,pp=4,...``: what is not said is one, or the job's; dp_shard takes the GPUs that are left."""
    said: dict[str, object] = {}
    apply_overrides(
        said, [part for part in text.replace(" ", "").split(",") if part], option="--layout", example="tp=8"
    )
    values = {"micro_batch_size": 1, "seq_len": job.seq_len, "sharding": "optimizer", "precision": job.precisions[0]}
    values |= said
    where = f"--layout {text}"
    Layout.parse({**values, "global_batch_size": _product(values, *BATCH, where=where)}, where)
    if "dp_shard" not in said:
        values["dp_shard"] = max(job.n_gpus // _product(values, "tp", "pp", "cp", "dp_replicate", where=where), 1)
    if "global_batch_size" not in said:
        unit = _product(values, *BATCH, where=where)
        if values.get("vp", 1) != 1:
            unit *= _product(values, "pp", where=where)
        values["global_batch_size"] = max(round(job.batch / unit), 1) * unit
    return Layout.parse(values, where)


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


def _write(request: Request, found: Answer) -> None:
    if request.export and request.out:
        write_export(request.export, found, request.out)
        typer.echo(f"written: {request.out}", err=True)
    if request.plot:
        from kolossos.plan.plots import plot_answer

        plot_answer(found, request.plot)
        typer.echo(f"written: {request.plot}", err=True)
    if request.trace:
        _write_trace(found, request.trace)
        typer.echo(f"written: {request.trace}", err=True)


def _write_trace(found: Answer, path: Path) -> None:
    """One step, played as a schedule of events."""
    from kolossos.plan.trace import write_trace

    layout = found.priced.layout
    if found.played is None:
        raise InputError(f"--trace {path}: {layout.accumulation_steps:,} micro-batches a step are too many to play")
    write_trace(found.played, path, f"{found.job.model.name} on {found.cluster.name}: {layout}")


def _print_json(record: dict) -> None:
    from json import dumps

    typer.echo(dumps(record, indent=1))
