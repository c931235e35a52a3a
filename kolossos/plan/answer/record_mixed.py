"""A plan over several kinds of GPU as plain values."""

from dataclasses import asdict
from typing import Any

from kolossos.plan.answer.bill import mixed_bill
from kolossos.plan.answer.record import bill_record, model_record, origin
from kolossos.plan.job import Job
from kolossos.plan.mixed.ways import Mixed, MixedPlan, mixed_mfu
from kolossos.plan.published.interval import step_interval
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.counts import training_flops_per_token


def mixed_record(jobs: list[Job], cluster: ClusterSpec, mixed: Mixed, tokens: float) -> dict[str, Any]:
    """As ``answer_record`` for the best split; ``layout`` is that of the kind with most GPUs."""
    best = mixed.best
    assert best is not None
    largest = max(best.contributions, key=lambda part: part.n_gpus)
    low, high = step_interval(best.step_time_s, jobs[0].measured_software)
    paid = mixed_bill(jobs, best, tokens)
    down, up = low / best.step_time_s, high / best.step_time_s
    mfu = mixed_mfu(jobs, best)
    return {
        "model": jobs[0].model.model_dump(),
        **model_record(jobs[0].model),
        "cluster": cluster.name,
        "gpu": [job.gpu.name for job in jobs],
        "software": jobs[0].software,
        "tokens": tokens,
        "model_flops": training_flops_per_token(jobs[0].model, jobs[0].seq_len) * tokens,
        **bill_record(paid),
        "n_gpus": best.n_gpus,
        "n_gpus_idle": sum(part.n_idle for part in best.contributions),
        "layout": largest.layout.model_dump(),
        "step_time_s": best.step_time_s,
        "parts": max(best.contributions, key=lambda part: part.step_time_s).parts,
        "tokens_per_step": best.tokens_per_step,
        "tokens_per_s": 1.0 / best.seconds_per_token,
        "mfu": mfu,
        "memory_bytes": max(part.memory_bytes for part in best.contributions),
        "intervals": {
            "step_time_s": (low, high),
            "days": (paid.days * down, paid.days * up),
            "energy_joules": (paid.energy_joules * down, paid.energy_joules * up),
            "cost_usd": (paid.rent_usd * down, paid.rent_usd * up),
            "mfu": (mfu / up, mfu / down),
        },
        "intervals_from": origin(best.n_gpus),
        "split": [plan_record(plan, tokens) for plan in mixed.plans],
        "runner_ups": [],
        "pareto": [],
    }


def plan_record(plan: MixedPlan, tokens: float) -> dict[str, Any]:
    """One way to split the work."""
    return {
        "how": plan.how,
        "synchronous": plan.synchronous,
        "n_gpus": plan.n_gpus,
        "step_time_s": plan.step_time_s,
        "days": plan.seconds_per_token * tokens / 86_400.0,
        "contributions": [{**asdict(part), "layout": part.layout.model_dump()} for part in plan.contributions],
    }
