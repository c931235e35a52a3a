"""A plan as plain values, for ``--json`` and whoever reads it."""

from dataclasses import asdict
from math import isfinite
from typing import Any

from kolossos.plan.answer.bill import Bill
from kolossos.plan.answer.explain import Purchase, binding_limits, deciding_terms
from kolossos.plan.answer.one_kind import Answer, choice_record
from kolossos.specs.counts import count_parameters
from kolossos.specs.draw import power_known
from kolossos.specs.model import ModelSpec

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
        **model_record(job.model),
        "cluster": answer.cluster.name,
        "gpu": job.gpu.name,
        "software": job.software,
        "tokens": answer.tokens,
        "model_flops": answer.model_flops,
        **bill_record(answer.bill),
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
        "beyond_model_length": job.seq_len > job.model.max_seq_len,
        "fits": answer.fits,
        "memory_margin": job.memory_margin,
        "fit_probability": answer.fit_probability,
        "memory_parts": priced.memory_parts,
        "memory_by_stage": [{**asdict(stage), "total": stage.total} for stage in answer.stages],
        "intervals": answer.intervals,
        "intervals_from": origin(priced.layout.world_size),
        "calibration": answer.calibration.record(answer.narrowing) if answer.calibration else None,
        "runner_ups": [
            choice_record(rival.priced.choice, answer.tokens, known)
            | {"differs": rival.differs, "slower": rival.slower, "loses_by_s": dict(rival.losses)}
            for rival in answer.runner_ups
        ],
        "pareto": [choice_record(choice, answer.tokens, known) for choice in found.front] if found else [],
        "search": {"priced": found.priced, "fitting": found.fitting, "seconds": found.seconds} if found else None,
        "why": {
            "terms": dict(deciding_terms(answer)),
            "limits": binding_limits(answer),
            "purchases": [_purchase_record(purchase) for purchase in bought],
        },
    }


def model_record(model: ModelSpec) -> dict[str, Any]:
    """What was read of the model: parameters, those that a token passes, and what is not priced."""
    count = count_parameters(model)
    beside = {"predicting_further_tokens": count.mtp, "encoders": model.encoder_parameters}
    return {
        "parameters": count.total,
        "active_parameters": count.active,
        "parameters_beside": {name: size for name, size in beside.items() if size},
        "not_priced": list(model.not_priced),
    }


def _purchase_record(purchase: Purchase) -> dict[str, Any]:
    names = ("name", "gain", "extra_cost", "gain_per_cost", "source")
    return {name: getattr(purchase, name) for name in names}


def bill_record(paid: Bill) -> dict[str, Any]:
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
