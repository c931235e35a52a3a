"""The outcome in figures: means and 5, 50 and 95 % quantiles over the replicates, as one plain dictionary."""

import json
from dataclasses import asdict
from math import isfinite
from typing import Any

import numpy as np

from kolossos.simulate.closed_forms import reference_intervals_s
from kolossos.simulate.engine.buckets import BUCKETS
from kolossos.simulate.engine.play import Outcome
from kolossos.simulate.piecewise import Array
from kolossos.simulate.power import cost_usd, energy_mwh, rent_usd, step_power
from kolossos.simulate.quantiles import quantiles
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.spec import DAY_S

HOUR_S = 3600.0
ASSUMPTIONS = (
    "tokens per step stay the same when the fleet grows: the step gets shorter",
    "a spare replaces a node in the time of the restart; nodes in repair come back as good as before",
    "a device that corrupts silently does so until it is found, and all work since then is lost",
    "failures strike by the clock, whether the job runs or not; failures in a maintenance window stop nothing",
    "a checkpoint counts once its background write is done; the last one of a run is not needed",
    "the intervals are over replicates (and the step time's own bounds, where a planner gave them); they hold no doubt "
    "about the failure table",
)

OUTSIDE = "spares come from outside the fleet whenever one is needed (recovery.spare_nodes is not set)"


def as_json(figures: dict[str, Any]) -> str:
    """Indented JSON; what is not a finite number (no failure ever, never reached) is null."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(item) for key, item in value.items()}
        if isinstance(value, list):
            return [finite(item) for item in value]
        return None if isinstance(value, float) and not isfinite(value) else value

    return json.dumps(finite(figures), indent=1, allow_nan=False)


def summary(outcome: Outcome) -> dict[str, Any]:
    """All figures of a simulated run; the keys carry their units."""
    scenario, spec = outcome.scenario, outcome.scenario.spec
    arrived = _arrived_gpu_s(outcome)
    energy = energy_mwh(outcome)
    cost = cost_usd(scenario, energy)
    young, daly = reference_intervals_s(scenario)
    made: dict[str, Any] = {
        "name": spec.name,
        "days": spec.days,
        "replicates": spec.replicates,
        "seed": spec.seed,
        "goodput": quantiles(outcome.goodput),
        "effective_time_share": quantiles(outcome.effective_share),
        "productive_share_of_gpu_hours": quantiles(outcome.gpu_s["productive"] / arrived),
        "tokens": quantiles(outcome.tokens),
        "tokens_per_day": quantiles(outcome.tokens / spec.days),
        "interruptions": quantiles(outcome.interruptions),
        "hours_between_interruptions": quantiles(spec.days * 24.0 / np.maximum(outcome.interruptions, 1)),
        "by_cause": _by_cause(outcome),
        "gpu_hours": {name: quantiles(outcome.gpu_s[name] / HOUR_S) for name in BUCKETS},
        "gpu_hours_total": float(sum(values.mean() for values in outcome.gpu_s.values()) / HOUR_S),
        "step_time_from": spec.step.source or "given",
        "phases": _phases(outcome),
        "checkpoint": {
            "interval_s": outcome.interval_s,
            "interval_is": "given" if spec.checkpoint.interval_s != "auto" else "found by simulation",
            "blocking_s": spec.checkpoint.blocking,
            "background_s": spec.checkpoint.background,
            "young_s": young,
            "daly_s": daly,
            "mtbf_s": scenario.mtbf_s,
        },
        "energy_mwh": quantiles(energy),
        "carbon_t": quantiles(energy * spec.power.gco2_per_kwh / 1000.0),
        "cost_usd": quantiles(cost),
        "rent_usd": rent_usd(scenario),
        "energy_usd": quantiles(energy * 1000.0 * spec.power.usd_per_kwh),
        "energy_is_in_rent": spec.price.energy_included,
        "cost_usd_per_hour": quantiles(cost / spec.days / 24.0),
        "cost_usd_per_1e12_tokens": quantiles(cost / np.maximum(outcome.tokens, 1.0) * 1e12),
        "failure_table": _table(scenario),
        "assumptions": [*ASSUMPTIONS, *([OUTSIDE] if spec.recovery.spare_nodes is None else [])],
    }
    if spec.tokens is not None:
        made["days_to_tokens"] = {
            "tokens": spec.tokens,
            **quantiles(outcome.days_to_tokens),
            "share_reached_within_run": float(outcome.reached.mean()),
            "beyond_the_run": "extrapolated at the pace of the last phase",
        }
    return made


def _arrived_gpu_s(outcome: Outcome) -> Array:
    return sum((v for name, v in outcome.gpu_s.items() if name != "not_arrived"), np.zeros(1))


def _by_cause(outcome: Outcome) -> dict[str, Any]:
    total = max(float(outcome.by_cause.sum()), 1.0)
    rows = {}
    for number, cause in enumerate(outcome.scenario.causes.rows):
        counts = outcome.by_cause[:, number]
        rows[cause.name] = {"kind": cause.kind, **quantiles(counts), "share": float(counts.sum() / total)}
    return rows


def _phases(outcome: Outcome) -> list[dict[str, Any]]:
    rows = []
    spec, phases = outcome.scenario.spec, outcome.scenario.phases
    bounds = [*(phase.start_s / DAY_S for phase in phases), spec.days]
    for phase, first, last in zip(phases, bounds[:-1], bounds[1:], strict=True):
        tokens = _tokens_by(outcome, last) - _tokens_by(outcome, first)
        rows.append(
            {
                "from_day": first,
                "tokens_per_day": quantiles(tokens / (last - first)),
                "gpus": phase.nodes * spec.fleet.gpus_per_node,
                "job_gpus": phase.job_nodes * spec.fleet.gpus_per_node,
                "spare_nodes": phase.spare_nodes,
                "step_time_s": phase.step_time_s,
                "tokens_per_s": phase.tokens_per_s,
                "cold_start_s": phase.cold_start_s,
                "power": asdict(step_power(spec, phase)),
            }
        )
    return rows


def _tokens_by(outcome: Outcome, day: float) -> Array:
    """Tokens of each replicate until a day, from its curve."""
    days = outcome.curve_days
    right = int(np.clip(np.searchsorted(days, day), 1, len(days) - 1))
    part = (day - days[right - 1]) / (days[right] - days[right - 1])
    return outcome.curve_tokens[:, right - 1] * (1.0 - part) + outcome.curve_tokens[:, right] * part


def _table(scenario: Scenario) -> dict[str, str]:
    if scenario.table is None:
        return {"name": "given causes", "source": "the user's", "grade": ""}
    return {"name": scenario.table.name, "source": scenario.table.source, "grade": scenario.table.grade}
