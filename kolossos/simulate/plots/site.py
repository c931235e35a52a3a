"""The site: power over a day and over a step, and the failures rack by rack."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kolossos.simulate.engine.play import Outcome, Played
from kolossos.simulate.engine.states import KEPT, LOST, timeline_of
from kolossos.simulate.power import step_power
from kolossos.simulate.spec import DAY_S

TEAL, CORAL, DARK = "#2a9d8f", "#e76f51", "#264653"


def plot_power(outcome: Outcome, played: Played) -> Figure:
    """A day of the last phase, as the grid sees it without smoothing; and three steps at the machines."""
    spec, phase = outcome.scenario.spec, outcome.scenario.phases[-1]
    power = step_power(spec, phase)
    figure, (day_axes, step_axes) = plt.subplots(2, 1, figsize=(11, 7.5), layout="constrained")
    first_day = int(min(np.ceil(phase.start_s / DAY_S) + 1, max(np.floor(spec.days) - 1, 0)))
    seconds = first_day * DAY_S + np.arange(0, 86_400, 20.0)
    state = timeline_of(played).at(seconds)
    idle_watts = power.mean_watts - power.stop_watts
    watts = np.where(np.isin(state, (KEPT, LOST)), power.mean_watts, idle_watts)
    cooling = (spec.power.pue - 1.0) * _smoothed(watts, 45)  # cooling follows in a quarter of an hour (assumed)
    site = (watts + cooling) / 1e6
    hours = (seconds - first_day * DAY_S) / 3600.0
    day_axes.fill_between(hours, site, color=TEAL, alpha=0.25, linewidth=0)
    day_axes.plot(hours, site, color=TEAL, linewidth=0.8)
    day_axes.axhline(site.mean(), color=DARK, linestyle="--", linewidth=1, label=f"mean {site.mean():.0f} MW")
    if spec.power.site_limit_watts is not None:
        limit = spec.power.site_limit_watts / 1e6
        day_axes.axhline(limit, color=CORAL, linewidth=1.5, label=f"site limit {limit:.0f} MW")
    drops = int((np.diff(np.isin(state, (KEPT, LOST)).astype(int)) < 0).sum())
    day_axes.set(xlim=(0, 24), ylim=(0, None), xticks=range(0, 25, 3), xlabel="hour", ylabel="site, MW")
    title = f"{spec.name}: day {first_day}, {drops} drops of {power.stop_watts / 1e6:.0f} MW as the job stops"
    day_axes.set_title(title)
    day_axes.legend(loc="lower right", ncols=2, facecolor="white", framealpha=0.9, frameon=True)
    _steps(step_axes, power.profile_watts, phase.step_time_s, power)
    return figure


def _steps(axes: Any, profile_watts: list[float], step_s: float, power: Any) -> None:
    steps = 3
    profile = np.tile(np.array(profile_watts), steps) / 1e6
    time = (np.arange(len(profile)) + 0.5) * step_s / len(profile_watts)
    mean = profile.mean()
    axes.plot(time, profile, color=DARK, linewidth=1.8, label="draw of the machines")
    axes.axhline(mean, color=TEAL, linestyle="--", linewidth=1.2, label="flat draw with storage")
    axes.fill_between(time, profile, mean, where=profile < mean, color=CORAL, alpha=0.3, label="into storage")
    axes.fill_between(time, profile, mean, where=profile > mean, color=TEAL, alpha=0.2, label="out of storage")
    for edge in range(1, steps):
        axes.axvline(edge * step_s, color="0.7", linewidth=0.8)
    axes.set(xlim=(0, steps * step_s), xlabel="seconds, three steps", ylabel="machines, MW")
    axes.set_title(
        f"Swing at the step boundary: {power.swing_watts / 1e6:.0f} MW; to smooth it, storage of "
        f"{power.smoothing_watts / 1e6:.0f} MW and {power.smoothing_mwh * 1000:.1f} kWh"
    )
    axes.set_ylim(top=mean + 1.9 * (profile.max() - mean) + 0.25 * (profile.max() - profile.min()))
    axes.legend(loc="upper right", ncols=4, fontsize=10)


def _smoothed(values: np.ndarray, width: int) -> np.ndarray:
    padded = np.concatenate((np.full(width - 1, values[0]), values))
    return np.convolve(padded, np.full(width, 1.0 / width), mode="valid")


def plot_racks(outcome: Outcome, played: Played) -> Figure:
    """Nodes lost in one run in each rack, lot by lot."""
    scenario, spec = outcome.scenario, outcome.scenario.spec
    per_rack = spec.fleet.nodes_per_rack
    columns = 80
    failed, first_row = played.draws, 0
    took_node = scenario.causes.within(("gpu", "node", "rack"))[failed.cause]
    grids, marks = [], []
    for lot in scenario.lots:
        nodes, first_node = lot.nodes, lot.first_node
        mine = took_node & (failed.node >= first_node) & (failed.node < first_node + nodes)
        mine &= failed.time_s >= lot.joins * DAY_S
        racks = -(-nodes // per_rack)
        rack = _scattered(failed.node[mine] - first_node, nodes) // per_rack
        counts = np.bincount(rack, minlength=racks).astype(float)
        rows = -(-racks // columns)
        grid = np.full(rows * columns, np.nan)
        grid[:racks] = counts[:racks]
        grids.append(np.vstack((grid.reshape(rows, columns), np.full((1, columns), np.nan))))
        marks.append((first_row, lot))
        first_row += rows + 1
    image = np.vstack(grids)[:-1]
    figure, axes = plt.subplots(figsize=(12.5, 1.0 + 0.128 * len(image)), layout="constrained")
    shown = axes.imshow(image, cmap="magma_r", aspect="equal", vmin=0, interpolation="nearest")
    figure.colorbar(shown, ax=axes, label="nodes lost in this rack", pad=0.01)
    for row, lot in marks:
        text = f"{lot.gpus:,} {lot.kind.name}\nday {lot.joins:g}"
        axes.annotate(text, (-1.2, row), ha="right", va="top", annotation_clip=False, fontsize=10)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    total = int(np.nansum(image))
    axes.set_title(
        f"{spec.name}: {total:,} nodes lost in one run of {spec.days:g} days, by rack of {per_rack} nodes\n"
        "lots one below the other; where a rack stands is arbitrary, how often it fails is simulated",
        fontsize=11,
    )
    return figure


def _scattered(node: np.ndarray, nodes: int) -> np.ndarray:
    """A fixed shuffle of node numbers, so that lemons do not all stand in the first racks."""
    return np.random.default_rng(0).permutation(nodes)[node]
