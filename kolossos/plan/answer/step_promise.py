"""What a plan promises about one training step: the few figures that the simulation of a whole run needs."""

from dataclasses import dataclass

from kolossos.errors import InputError
from kolossos.plan.answer.nothing_fits import nothing_fits
from kolossos.plan.job import Job
from kolossos.plan.mixed.ways import MixedPlan, mixed_mfu, plan_mixed
from kolossos.plan.published.interval import step_interval
from kolossos.plan.search.layout_parts import PricedLayout, price_if_allowed, price_layouts
from kolossos.plan.search.search import search
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.counts import CHECKPOINT_BYTES_PER_PARAMETER, count_parameters, training_flops_per_token
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec


@dataclass(frozen=True)
class StepPromise:
    """One step of one model in one layout on one kind of GPU (or one mix).

    Seconds, bytes, FLOPs, watts. ``low`` and ``high`` bound the step time with 90 % confidence. In a mix ``layout`` is
    that of the kind with most GPUs, and covers these alone.
    """

    n_gpus: int
    layout: Layout
    step_time_s: float
    step_time_low_s: float
    step_time_high_s: float
    tokens_per_step: float
    model_flops_per_step: float
    mfu: float
    checkpoint_bytes: float
    """Weights and optimizer state, once."""
    busy_share: float
    """Share of the step in which a GPU computes; the rest it waits (exposed communication, bubble)."""


def promise_step(
    model: ModelSpec, cluster: ClusterSpec, layout: Layout | None = None, n_gpus: int | None = None
) -> StepPromise:
    """The step of ``layout``, or of the fastest layout on ``cluster``, or on ``n_gpus`` of its first kind.

    Several kinds: as they do best in one step together. InputError if nothing fits, or ``layout`` breaks a rule.
    """
    if len(cluster.pools) > 1 and layout is None and n_gpus is None:
        jobs = [Job.of(model, cluster, pool) for pool in cluster.pools]
        mixed = plan_mixed(jobs)
        if mixed.best is None:
            raise InputError(nothing_fits(jobs[0], mixed.alone[0].leanest))
        return _of_mix(model, jobs, mixed.best)
    job = Job.of(model, cluster, n_gpus=n_gpus)
    if layout is None:
        found = search(job)
        if found.best is None:
            raise InputError(nothing_fits(job, found.leanest))
        return _of_one(job, price_layouts(job, [found.best.layout])[0])
    job = job.with_layout(layout)
    return _of_one(job, price_if_allowed(job, layout))


def _of_one(job: Job, priced: PricedLayout) -> StepPromise:
    low, high = step_interval(priced.step_time_s, job.measured_software)
    return StepPromise(
        n_gpus=priced.layout.world_size,
        layout=priced.layout,
        step_time_s=priced.step_time_s,
        step_time_low_s=low,
        step_time_high_s=high,
        tokens_per_step=float(priced.tokens_per_step),
        model_flops_per_step=training_flops_per_token(job.model, job.seq_len) * priced.tokens_per_step,
        mfu=priced.mfu,
        checkpoint_bytes=count_parameters(job.model).total * CHECKPOINT_BYTES_PER_PARAMETER,
        busy_share=priced.busy_share,
    )


def _of_mix(model: ModelSpec, jobs: list[Job], plan: MixedPlan) -> StepPromise:
    low, high = step_interval(plan.step_time_s, jobs[0].measured_software)
    largest = max(plan.contributions, key=lambda part: part.n_gpus)
    busy = sum(p.n_gpus * p.busy_share * p.step_time_s / plan.step_time_s for p in plan.contributions) / plan.n_gpus
    return StepPromise(
        n_gpus=plan.n_gpus,
        layout=largest.layout,
        step_time_s=plan.step_time_s,
        step_time_low_s=low,
        step_time_high_s=high,
        tokens_per_step=plan.tokens_per_step,
        model_flops_per_step=training_flops_per_token(model, jobs[0].seq_len) * plan.tokens_per_step,
        mfu=mixed_mfu(jobs, plan),
        checkpoint_bytes=count_parameters(model).total * CHECKPOINT_BYTES_PER_PARAMETER,
        busy_share=busy,
    )
