"""The one place where the simulation asks the planner for a step."""

from typing import Any

from kolossos.plan.answer.step_promise import StepPromise, promise_step
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.model import ModelSpec


def promised_steps(model: ModelSpec, fleets: list[ClusterSpec]) -> tuple[dict[str, Any], float]:
    """Values of ``StepSpec`` for a fleet and its successors, and the bytes of a checkpoint.

    The planner chooses the layout, and with it the batch, anew for each fleet. The tokens of a step are those of the
    first; a later step is stretched so that tokens per second stay as promised. GPUs that a layout leaves over idle.
    """
    promises = [promise_step(model, fleet) for fleet in fleets]
    first = promises[0]
    later = [p.step_time_s * first.tokens_per_step / p.tokens_per_step for p in promises[1:]]
    step: dict[str, Any] = {
        "time_s": first.step_time_s,
        "time_low_s": first.step_time_low_s,
        "time_high_s": first.step_time_high_s,
        "tokens": float(first.tokens_per_step),
        "for_gpus": fleets[0].n_gpus,
        "draws": [
            {"busy_share": promise.busy_share, "used_share": promise.n_gpus / fleet.n_gpus}
            for promise, fleet in zip(promises, fleets, strict=True)
        ],
        "source": f"kolossos plan, {first.n_gpus:,} GPUs, layout {_short(first)}",
    }
    if later:
        step["times_after_growth_s"] = later
    return step, float(first.checkpoint_bytes)


def _short(promise: StepPromise) -> str:
    layout = promise.layout
    names = ("tp", "pp", "vp", "cp", "ep", "dp_shard", "dp_replicate")
    return " ".join(f"{name}={getattr(layout, name)}" for name in names if getattr(layout, name) > 1) or "one GPU"
