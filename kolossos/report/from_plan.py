"""The JSON of `kolossos plan --json` or `kolossos simulate --json` as the subject of a report."""

import json
import math
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.report.from_simulation import as_plan
from kolossos.report.subject import Figure, Subject
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

KEYS = ("model", "cluster", "tokens", "model_flops", "energy_joules", "cost_usd", "days", "n_gpus", "layout")
MAY_BE_UNKNOWN = ("energy_joules", "cost_usd", "model_flops")
POINTS = ("p5", "p50", "p95")
SECONDS_PER_DAY = 86400.0


def read_plan(path: Path) -> Subject:
    """The plan or simulation in the JSON file ``path``; InputError naming the key that is missing or wrong."""
    values = _object(path)
    remarks: list[str] = []
    if "goodput" in values and "inputs" in values and "layout" not in values:
        values, remarks = as_plan(values, path)
    for key in KEYS:
        if key not in values:
            raise InputError(
                f"{path}: key '{key}' is missing; a report needs {', '.join(KEYS)}, "
                f"as `kolossos plan --json` and `kolossos simulate --json` print them"
            )
    model = _model(values["model"], path)
    layout = _layout(values["layout"], path)
    cluster_name, cluster = _cluster(values["cluster"])
    if cluster is None:
        remarks.append(f"The cluster '{cluster_name}' is not in the catalogue: its carbon is not known.")
    figures = {key: _quantiles(values[key], key, path) for key in KEYS if key not in ("model", "cluster", "layout")}
    simulated = values.get("kind") == "simulation" or "goodput" in values
    what = "simulated" if simulated else "planned"
    energy = _figure(figures["energy_joules"], 1.0, "J", what)
    n_gpus = int(figures["n_gpus"][1])
    return Subject(
        kind="simulation" if simulated else "plan",
        name=f"{model.name} on {cluster_name}",
        path=str(path),
        state=f"{what}: nothing has run; every figure of time, energy and cost is an estimate",
        model=model,
        tokens=figures["tokens"][1],
        tokens_intended=figures["tokens"][1],
        seq_len=layout.seq_len,
        recompute=layout.recompute,
        precision=layout.precision,
        given_model_flops=None if math.isnan(figures["model_flops"][1]) else figures["model_flops"][1],
        n_gpus=n_gpus,
        hardware=_hardware(cluster_name, cluster, n_gpus),
        seconds=_figure(figures["days"], SECONDS_PER_DAY, "s", what),
        energy=energy,
        cost=_figure(figures["cost_usd"], 1.0, "USD", what),
        carbon=_carbon(energy, cluster),
        data=[("tokens", f"{figures['tokens'][1]:,.0f}"), ("sources", "a plan names none: state them before training")],
        layout=layout.model_dump(),
        remarks=remarks,
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); a report needs a run folder or a plan's JSON") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object, as `kolossos plan --json` prints")
    return values


def _model(value: Any, path: Path) -> ModelSpec:
    if isinstance(value, str):
        return load_model(value)
    if not isinstance(value, dict):
        raise InputError(f"{path}: key 'model' = {value!r}: expected a model's table or a name of the catalogue")
    counted = {"parameters", "active_parameters"}  # as `kolossos models --json` adds them
    given = {key: entry for key, entry in value.items() if key not in counted and entry is not None}
    return ModelSpec.parse(given, f"{path}: model")


def _layout(value: Any, path: Path) -> Layout:
    if not isinstance(value, dict):
        raise InputError(f"{path}: key 'layout' = {value!r}: expected a table with tp, pp, seq_len and so on")
    return Layout.parse(value, f"{path}: layout")


def _cluster(value: Any) -> tuple[str, ClusterSpec | None]:
    name = str(value.get("name", "unnamed")) if isinstance(value, dict) else str(value)
    try:
        return name, load_cluster(name)
    except InputError:
        return name, None


def _quantiles(value: Any, key: str, path: Path) -> tuple[float, float, float]:
    """Low, middle, high of a number or of an object with p5, p50 and p95; nan where null is allowed."""
    if value is None and key in MAY_BE_UNKNOWN:
        return (math.nan, math.nan, math.nan)
    points = [value.get(p, value.get(p[:1] + "0" + p[1:])) for p in POINTS] if isinstance(value, dict) else [value] * 3
    numbers = [float(p) for p in points if isinstance(p, int | float) and not isinstance(p, bool)]
    may_be_zero = key in MAY_BE_UNKNOWN
    if len(numbers) < 3 or not all(math.isfinite(n) and (n > 0 or (may_be_zero and n == 0)) for n in numbers):
        bound = "of 0 or more" if may_be_zero else "above 0"
        raise InputError(f"{path}: key '{key}' = {value!r}: expected a number {bound} (or p5, p50 and p95)")
    if numbers != sorted(numbers):
        raise InputError(f"{path}: key '{key}' = {value!r}: p5, p50 and p95 are not in this order")
    return (numbers[0], numbers[1], numbers[2])


def _figure(points: tuple[float, float, float], factor: float, unit: str, what: str) -> Figure:
    low, middle, high = (point * factor for point in points)
    if math.isnan(middle):
        return Figure(None, unit, "not known", "the input does not say")
    bounds = (low, high) if low != high else (None, None)
    return Figure(middle, unit, "estimated", f"{what}, not measured", *bounds)


def _carbon(energy: Figure, cluster: ClusterSpec | None) -> Figure:
    if cluster is None or energy.value is None:
        return Figure(None, "kg CO2e", "not known", "energy or cluster not known")
    factor = cluster.power.gco2_per_kwh / 3.6e6 / 1e3
    low, high = (None if v is None else v * factor for v in (energy.low, energy.high))
    note = f"at {cluster.power.gco2_per_kwh:g} g/kWh, as the cluster's file says"
    return Figure(energy.value * factor, "kg CO2e", "estimated", note, low, high)


def _hardware(name: str, cluster: ClusterSpec | None, n_gpus: int) -> list[tuple[str, str]]:
    rows = [("cluster", name), ("GPUs used", f"{n_gpus:,}")]
    if cluster:
        rows += [(f"pool of {pool.gpu}", f"{pool.count:,}") for pool in cluster.pools]
        rows.append(("fabric", f"{cluster.fabric.kind}, {cluster.fabric.topology}"))
    return rows
