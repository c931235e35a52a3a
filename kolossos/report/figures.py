"""Figures of a plan or a simulation, as their JSON gives them: a number, or its points, or nothing where allowed."""

import math
from pathlib import Path
from typing import Any

from kolossos.errors import InputError
from kolossos.report.subject import Figure
from kolossos.specs.catalogue import load_cluster
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.interval import POINTS

Points = tuple[float, float, float]
NAMES = "{}, {} and {}".format(*POINTS)
NOT_KNOWN = (math.nan, math.nan, math.nan)


def points_of(value: Any, key: str, path: Path, may_be_unknown: bool = False) -> Points:
    """Low, middle, high of a number or of an object with its points; nan where null is allowed."""
    if value is None and may_be_unknown:
        return NOT_KNOWN
    given = [value.get(point) for point in POINTS] if isinstance(value, dict) else [value] * 3
    numbers = [float(p) for p in given if isinstance(p, int | float) and not isinstance(p, bool)]
    if len(numbers) < 3 or not all(math.isfinite(n) and (n > 0 or (may_be_unknown and n == 0)) for n in numbers):
        bound = "of 0 or more" if may_be_unknown else "above 0"
        raise InputError(f"{path}: key '{key}' = {value!r}: expected a number {bound} (or {NAMES})")
    if numbers != sorted(numbers):
        raise InputError(f"{path}: key '{key}' = {value!r}: {NAMES} are not in this order")
    return (numbers[0], numbers[1], numbers[2])


def estimate(points: Points, factor: float, unit: str, what: str) -> Figure:
    """The figure of ``points`` times ``factor``, with bounds where it has some."""
    low, middle, high = (point * factor for point in points)
    if math.isnan(middle):
        return Figure(None, unit, "not known", "the input does not say")
    bounds = (low, high) if low != high else (None, None)
    return Figure(middle, unit, "estimated", f"{what}, not measured", *bounds)


def carbon_of(energy: Figure, cluster: ClusterSpec | None) -> Figure:
    """Of the energy, by what the cluster's file says of its grid."""
    if cluster is None or energy.value is None:
        return Figure(None, "kg CO2e", "not known", "energy or cluster not known")
    factor = cluster.power.gco2_per_kwh / 3.6e6 / 1e3
    low, high = (None if v is None else v * factor for v in (energy.low, energy.high))
    note = f"at {cluster.power.gco2_per_kwh:g} g/kWh, as the cluster's file says"
    return Figure(energy.value * factor, "kg CO2e", "estimated", note, low, high)


def cluster_of(name: str) -> tuple[ClusterSpec | None, list[str]]:
    """The cluster of that name, and what has to be said where the catalogue has none."""
    try:
        return load_cluster(name), []
    except InputError:
        return None, [f"The cluster '{name}' is not in the catalogue: its carbon is not known."]


def hardware_rows(
    name: str, n_gpus: int, pools: list[tuple[str, int]], cluster: ClusterSpec | None
) -> list[tuple[str, str]]:
    """The cluster, the GPUs in use, its pools by what they are called, the fabric."""
    rows = [("cluster", name), ("GPUs used", f"{n_gpus:,}"), *((what, f"{count:,}") for what, count in pools)]
    if cluster:
        rows.append(("fabric", f"{cluster.fabric.kind}, {cluster.fabric.topology}"))
    return rows
