"""Goodput against checkpoint interval, for every recovery policy, and against spares: all on the same failures."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kolossos.simulate.closed_forms import reference_intervals_s
from kolossos.simulate.engine.play import Outcome, Prepared, ideal_tokens, prepared, simulate
from kolossos.simulate.policies import policies_in_order
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.search.optimise import Search, spare_candidates

COLOURS = ("#264653", "#e9c46a", "#2a9d8f", "#e76f51", "#9b5de5", "#8d99ae", "#f4a261", "#457b9d")
RUNS = 4


def plot_policy(outcome: Outcome, search: Search | None) -> Figure:
    """Left: interval, for each policy. Right: spare nodes, for the policy of this run."""
    scenario = outcome.scenario.with_replicates(min(RUNS, outcome.scenario.spec.replicates)).with_step_pinned()
    chunks = prepared(scenario)
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(policies_in_order())}
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5.2), layout="constrained", sharey=False)
    _intervals(left, scenario, chunks, colours, _mark(outcome, search))
    _spares(right, scenario, chunks, outcome, colours[scenario.spec.recovery.policy])
    title = f"{scenario.spec.name}: what policy is worth (same failures, {scenario.spec.replicates} runs)"
    figure.suptitle(title, fontweight="bold")
    return figure


def _mark(outcome: Outcome, search: Search | None) -> tuple[float, str]:
    """The interval to point out, and what it is."""
    return (outcome.interval_s, " this run") if search is None else (search.best.interval_s, " best found")


def _intervals(
    axes: Any, scenario: Scenario, chunks: list[Prepared], colours: dict[str, str], mark: tuple[float, str]
) -> None:
    spec = scenario.spec
    young, _ = reference_intervals_s(scenario)
    shortest = max(spec.checkpoint.background, scenario.phases[0].step_time_s)
    grid = np.unique(np.clip(np.geomspace(young / 8, young * 60, 15), shortest, scenario.horizon_s))
    for policy, colour in colours.items():
        changed = scenario.with_recovery(policy=policy)
        runs = np.array([simulate(changed, float(interval), chunks).goodput for interval in grid]) * 100.0
        width = 2.5 if policy == spec.recovery.policy else 1.5
        axes.plot(grid, runs.mean(1), color=colour, linewidth=width, label=policy)
        axes.fill_between(grid, runs.min(1), runs.max(1), color=colour, alpha=0.2, linewidth=0)
    axes.axvline(young, color="0.4", linestyle=":", linewidth=1)
    axes.annotate(" Young", (young, 0.99), xycoords=("data", "axes fraction"), ha="left", va="top", color="0.4")
    found, label = mark
    axes.axvline(found, color="0.1", linestyle="--", linewidth=1)
    axes.annotate(label, (found, 0.93), xycoords=("data", "axes fraction"), ha="left", va="top")
    axes.set(xscale="log", ylim=(0, 100), xlabel="seconds between checkpoints on the store", ylabel="goodput, %")
    axes.set_title("Checkpoint interval, by recovery policy (bands: all runs)", fontsize=11)
    axes.legend(loc="center right", fontsize=10)


def _spares(axes: Any, scenario: Scenario, chunks: list[Prepared], outcome: Outcome, colour: str) -> None:
    spec, used = scenario.spec, outcome.scenario.spec.recovery.own_spares
    counts = sorted({*spare_candidates(scenario), used})
    rows = []
    for count in counts:
        changed = scenario.with_recovery(spare_nodes=count)
        goodput = simulate(changed, outcome.interval_s, chunks).goodput
        rows.append(goodput * ideal_tokens(changed.phases, spec.days) / spec.days / 1e9)
    runs = np.array(rows)
    axes.plot(counts, runs.mean(1), color=colour, marker="o", linewidth=2)
    axes.fill_between(counts, runs.min(1), runs.max(1), color=colour, alpha=0.2, linewidth=0)
    axes.axvline(used, color="0.1", linestyle="--", linewidth=1)
    axes.annotate(f"this run: {used} ", (used, 0.04), xycoords=("data", "axes fraction"), ha="right")
    axes.set(xlabel=f"spare nodes of {spec.fleet.gpus_per_node} GPUs, out of the fleet", ylabel="tokens a day, 10⁹")
    axes.set_ylim(bottom=0)
    axes.set_title(f"Hot spares, policy {spec.recovery.policy}", fontsize=11)
