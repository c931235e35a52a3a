"""The JSON of a plan as the subject of a report."""

import math
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.report.figures import carbon_of, cluster_of, estimate, hardware_rows, points_of
from kolossos.report.subject import Subject
from kolossos.specs.catalogue import load_model
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

KEYS = ("model", "cluster", "tokens", "model_flops", "energy_joules", "cost_usd", "days", "n_gpus", "layout")
FIGURES = {
    "tokens": False,
    "model_flops": True,
    "energy_joules": True,
    "cost_usd": True,
    "days": False,
    "n_gpus": False,
}
"""Those that are numbers or points; whether each may be unknown."""
SECONDS_PER_DAY = 86400.0


def subject_of_plan(values: dict[str, Any], path: Path) -> Subject:
    """What the plan says; InputError naming the key that is missing or wrong."""
    for key in KEYS:
        if key not in values:
            raise InputError(
                f"{path}: key '{key}' is missing; a report needs {', '.join(KEYS)}, "
                f"as `kolossos plan` and `kolossos simulate` print them in JSON"
            )
    model = _model(values["model"], path)
    layout = _layout(values["layout"], path)
    given = values["cluster"]
    name = str(given.get("name", "unnamed")) if isinstance(given, dict) else str(given)
    cluster, remarks = cluster_of(name)
    figures = {key: points_of(values[key], key, path, unknown) for key, unknown in FIGURES.items()}
    simulated = values.get("kind") == "simulation" or "goodput" in values
    what = "simulated" if simulated else "planned"
    energy = estimate(figures["energy_joules"], 1.0, "J", what)
    n_gpus, flops = int(figures["n_gpus"][1]), figures["model_flops"][1]
    pools = [(f"pool of {pool.gpu}", pool.count) for pool in cluster.pools] if cluster else []
    return Subject(
        kind="simulation" if simulated else "plan",
        name=f"{model.name} on {name}",
        path=str(path),
        state=f"{what}: nothing has run; every figure of time, energy and cost is an estimate",
        model=model,
        tokens=figures["tokens"][1],
        tokens_intended=figures["tokens"][1],
        seq_len=layout.seq_len,
        recompute=layout.recompute,
        precision=layout.precision,
        given_model_flops=None if math.isnan(flops) else flops,
        n_gpus=n_gpus,
        hardware=hardware_rows(name, n_gpus, pools, cluster),
        seconds=estimate(figures["days"], SECONDS_PER_DAY, "s", what),
        energy=energy,
        cost=estimate(figures["cost_usd"], 1.0, "USD", what),
        carbon=carbon_of(energy, cluster),
        data=[("tokens", f"{figures['tokens'][1]:,.0f}"), ("sources", "a plan names none: state them before training")],
        layout=layout.model_dump(),
        remarks=remarks,
    )


def _model(value: Any, path: Path) -> ModelSpec:
    if isinstance(value, str):
        return load_model(value)
    if not isinstance(value, dict):
        raise InputError(f"{path}: key 'model' = {value!r}: expected a model's table or a name of the catalogue")
    counted = {"parameters", "active_parameters"}  # as the listing of models adds them
    given = {key: entry for key, entry in value.items() if key not in counted and entry is not None}
    return ModelSpec.parse(given, f"{path}: model")


def _layout(value: Any, path: Path) -> Layout:
    if not isinstance(value, dict):
        raise InputError(f"{path}: key 'layout' = {value!r}: expected a table with tp, pp, seq_len and so on")
    return Layout.parse(value, f"{path}: layout")
