"""Goodput against checkpoint interval, for every recovery policy, and against spares: all on the same failures."""

from typing import Any, get_args

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kolossos.simulate.optimise import Search, reference_intervals_s, spare_candidates
from kolossos.simulate.phases import phases
from kolossos.simulate.play import Outcome, Prepared, chunked, ideal_tokens, prepare, simulate
from kolossos.simulate.spec import OperationSpec, RecoverySpec

POLICIES: tuple[str, ...] = get_args(RecoverySpec.model_fields["policy"].annotation)
COLOURS = dict(zip(POLICIES, ("#264653", "#e9c46a", "#2a9d8f", "#e76f51"), strict=True))
RUNS = 4


def plot_policy(outcome: Outcome, search: Search | None) -> Figure:
    """Left: interval, for each policy. Right: spare nodes, for the policy of this run."""
    spec = outcome.spec.model_copy(update={"replicates": min(RUNS, outcome.spec.replicates)})
    phase = phases(spec)[0]
    gpus = spec.step.for_gpus or phase.job_nodes * spec.fleet.gpus_per_node
    spec = spec.model_copy(update={"step": spec.step.model_copy(update={"for_gpus": gpus})})
    chunks = [prepare(spec, r) for r in chunked(spec)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5.2), layout="constrained", sharey=False)
    _intervals(left, spec, chunks, outcome, search)
    _spares(right, spec, chunks, outcome)
    figure.suptitle(f"{spec.name}: what policy is worth (same failures, {spec.replicates} runs)", fontweight="bold")
    return figure


def policy_goodput(spec: OperationSpec, chunks: list[Prepared], policy: str, interval_s: float) -> np.ndarray:
    """Goodput of each replicate under another recovery policy."""
    recovery = spec.recovery.model_copy(update={"policy": policy})
    return simulate(spec.model_copy(update={"recovery": recovery}), interval_s, chunks).goodput


def _intervals(axes: Any, spec: OperationSpec, chunks: list[Prepared], outcome: Outcome, search: Search | None) -> None:
    young, _ = reference_intervals_s(spec)
    shortest = max(spec.checkpoint.background, phases(spec)[0].step_time_s)
    grid = np.unique(np.clip(np.geomspace(young / 8, young * 60, 15), shortest, spec.days * 86_400.0))
    for policy in POLICIES:
        runs = np.array([policy_goodput(spec, chunks, policy, float(interval)) for interval in grid]) * 100.0
        width = 2.5 if policy == spec.recovery.policy else 1.5
        axes.plot(grid, runs.mean(1), color=COLOURS[policy], linewidth=width, label=policy)
        axes.fill_between(grid, runs.min(1), runs.max(1), color=COLOURS[policy], alpha=0.2, linewidth=0)
    axes.axvline(young, color="0.4", linestyle=":", linewidth=1)
    axes.annotate(" Young", (young, 0.99), xycoords=("data", "axes fraction"), ha="left", va="top", color="0.4")
    found = search.best.interval_s if search is not None else outcome.interval_s
    axes.axvline(found, color="0.1", linestyle="--", linewidth=1)
    label = " best found" if search is not None else " this run"
    axes.annotate(label, (found, 0.93), xycoords=("data", "axes fraction"), ha="left", va="top")
    axes.set(xscale="log", ylim=(0, 100), xlabel="seconds between checkpoints on the store", ylabel="goodput, %")
    axes.set_title("Checkpoint interval, by recovery policy (bands: all runs)", fontsize=11)
    axes.legend(loc="center right", fontsize=10)


def _spares(axes: Any, spec: OperationSpec, chunks: list[Prepared], outcome: Outcome) -> None:
    used = outcome.spec.recovery.own_spares
    counts = sorted({*spare_candidates(spec), used})
    rows = []
    for count in counts:
        recovery = spec.recovery.model_copy(update={"spare_nodes": count})
        played = simulate(spec.model_copy(update={"recovery": recovery}), outcome.interval_s, chunks)
        rows.append(played.goodput * ideal_tokens(played.spec, played.fleet) / spec.days / 1e9)
    runs = np.array(rows)
    axes.plot(counts, runs.mean(1), color=COLOURS[spec.recovery.policy], marker="o", linewidth=2)
    axes.fill_between(counts, runs.min(1), runs.max(1), color=COLOURS[spec.recovery.policy], alpha=0.2, linewidth=0)
    axes.axvline(used, color="0.1", linestyle="--", linewidth=1)
    axes.annotate(f"this run: {used} ", (used, 0.04), xycoords=("data", "axes fraction"), ha="right")
    axes.set(xlabel=f"spare nodes of {spec.fleet.gpus_per_node} GPUs, out of the fleet", ylabel="tokens a day, 10⁹")
    axes.set_ylim(bottom=0)
    axes.set_title(f"Hot spares, policy {spec.recovery.policy}", fontsize=11)
