"""A plan as plain values, for ``--json`` and whoever reads it."""

from dataclasses import asdict
from math import isfinite
from typing import Any

from kolossos.plan.answer import Answer, choice_record
from kolossos.plan.explain import Purchase, binding_limits, deciding_terms
from kolossos.plan.interval import step_interval
from kolossos.plan.job import Job
from kolossos.plan.mixed import Mixed, MixedPlan
from kolossos.plan.price import Bill, Worker, bill
from kolossos.plan.promise import mixed_mfu
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.draw import power_known

LARGEST_MEASURED = 16_384
"""GPUs of the largest published run among the measurements (Llama 3.1 405B, arXiv:2407.21783, table 4)."""


def origin(n_gpus: int) -> str:
    """Where the intervals come from, for whoever prints them."""
    errors = "from the planner's errors on published runs it was not fitted to"
    if n_gpus > LARGEST_MEASURED:
        return f"{errors}, of at most {LARGEST_MEASURED:,} GPUs: beyond, it is extrapolated and may be too narrow"
    return errors


def answer_record(answer: Answer, bought: list[Purchase]) -> dict[str, Any]:
    """Seconds, bytes, joules, dollars; ``cost_usd`` is rent, which the price of energy is part of."""
    priced, found, job = answer.priced, answer.found, answer.job
    known = power_known(job.gpu)
    return {
        "model": job.model.model_dump(),
        "cluster": answer.cluster.name,
        "gpu": job.gpu.name,
        "software": job.software,
        "tokens": answer.tokens,
        "model_flops": answer.model_flops,
        **_bill_record(answer.bill),
        "n_gpus": priced.layout.world_size,
        "n_gpus_idle": job.n_gpus - priced.layout.world_size,
        "layout": priced.layout.model_dump(),
        "step_time_s": priced.step_time_s,
        "played_step_time_s": answer.played.step_s if answer.played else None,
        "parts": priced.parts,
        "hidden": priced.hidden,
        "tokens_per_step": priced.tokens_per_step,
        "tokens_per_s": priced.tokens_per_step / priced.step_time_s,
        "mfu": priced.mfu,
        "busy_share": priced.busy_share,
        "memory_bytes": priced.choice.memory_bytes,
        "fits": answer.fits,
        "memory_parts": priced.memory_parts,
        "memory_by_stage": [{**asdict(stage), "total": stage.total} for stage in answer.stages],
        "intervals": answer.intervals,
        "intervals_from": origin(priced.layout.world_size),
        "runner_ups": [
            {
                **choice_record(rival.priced.choice, answer.tokens, known),
                "differs": rival.differs,
                "slower": rival.slower,
                "loses_by_s": dict(rival.losses),
            }
            for rival in answer.runner_ups
        ],
        "pareto": [choice_record(choice, answer.tokens, known) for choice in found.front] if found else [],
        "search": {"priced": found.priced, "fitting": found.fitting, "seconds": found.seconds} if found else None,
        "why": {
            "terms": dict(deciding_terms(answer)),
            "limits": binding_limits(answer),
            "purchases": [
                {
                    "name": purchase.name,
                    "gain": purchase.gain,
                    "extra_cost": purchase.extra_cost,
                    "gain_per_cost": purchase.gain_per_cost,
                    "source": purchase.source,
                }
                for purchase in bought
            ],
        },
    }


def mixed_bill(jobs: list[Job], plan: MixedPlan, tokens: float) -> Bill:
    """The bill of a split: every kind at its own draw and rent."""
    by_name = {job.gpu.name: job for job in jobs}
    workers = []
    for part in plan.contributions:
        job = by_name[part.gpu]
        busy = part.busy_share * part.step_time_s / plan.step_time_s
        workers.append(Worker(job.gpu, part.n_gpus, part.n_idle, busy, job.usd_per_gpu_hour))
    return bill(workers, jobs[0].power, plan.seconds_per_token, tokens)


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
        "cluster": cluster.name,
        "gpu": [job.gpu.name for job in jobs],
        "software": jobs[0].software,
        "tokens": tokens,
        "model_flops": training_flops_per_token(jobs[0].model, jobs[0].seq_len) * tokens,
        **_bill_record(paid),
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


def _bill_record(paid: Bill) -> dict[str, Any]:
    """The bill; None for what is not known."""
    values = {
        "days": paid.days,
        "energy_joules": paid.energy_joules,
        "cost_usd": paid.rent_usd,
        "energy_usd": paid.energy_usd,
        "co2_kg": paid.co2_kg,
        "gpu_hours": paid.gpu_hours,
        "site_watts": paid.site_watts,
        "site_limit_watts": paid.site_limit_watts,
    }
    return {name: value if value is None or isfinite(value) else None for name, value in values.items()}
