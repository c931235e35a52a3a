"""Tokens over time with their band, and every two minutes of one run."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kolossos.simulate.engine.play import Outcome, Played, ideal_tokens
from kolossos.simulate.engine.states import STATES, timeline_of
from kolossos.simulate.fleet import Phase
from kolossos.simulate.spec import DAY_S

COLOURS = ("#2a9d8f", "#e76f51", "#f4a261", "#9b5de5", "#e9c46a", "#8d99ae")
"""Of the states, in their order."""


def plot_timeline(outcome: Outcome, played: Played) -> Figure:
    """Tokens over time with their band, above every minute of one run, a day a row."""
    spec = outcome.scenario.spec
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(11, 9), height_ratios=(1, 1.7), layout="constrained", sharex=False
    )
    days = outcome.curve_days
    low, middle, high = np.quantile(outcome.curve_tokens, [0.05, 0.5, 0.95], axis=0) / 1e12
    top.fill_between(days, low, high, color=COLOURS[0], alpha=0.3, label="5 to 95 % of runs")
    top.plot(days, middle, color=COLOURS[0], linewidth=2, label="median")
    ideal = [ideal_tokens(_until(outcome, day), float(day)) for day in days[1:]]
    top.plot(days, np.array([0.0, *ideal]) / 1e12, color="0.5", linestyle="--", label="if nothing ever failed")
    for phase in outcome.scenario.phases[1:]:
        top.axvline(phase.start_s / DAY_S, color="0.7", linewidth=1)
        gpus = phase.nodes * spec.fleet.gpus_per_node
        place = (phase.start_s / DAY_S, 0.98)
        top.annotate(f" {gpus:,} GPUs", place, xycoords=("data", "axes fraction"), color="0.35", va="top")
    if spec.tokens is not None:
        top.axhline(spec.tokens / 1e12, color="#264653", linewidth=1, linestyle=":")
        label = f"{spec.tokens / 1e12:g} · 10¹² tokens "
        place = (spec.days, spec.tokens / 1e12)
        top.annotate(label, place, va="bottom", ha="right", color="#264653")
    top.set(title=f"{spec.name}: tokens that arrive", xlabel="day", ylabel="tokens, 10¹²", xlim=(0, spec.days))
    top.set_ylim(bottom=0)
    top.legend(loc="upper left")
    _minutes(bottom, outcome, played)
    return figure


def _minutes(axes: Any, outcome: Outcome, played: Played) -> None:
    """Every two minutes of one run as a calendar: a row a day."""
    days = int(np.ceil(outcome.scenario.spec.days))
    seconds = (np.arange(days * 720) + 0.5) * 120.0
    image = timeline_of(played).at(np.minimum(seconds, played.axis.horizon_s)).reshape(days, 720).astype(float)
    image.ravel()[seconds > played.axis.horizon_s] = np.nan
    axes.imshow(
        image,
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap(COLOURS),
        vmin=-0.5,
        vmax=len(STATES) - 0.5,
        extent=(0, 24, days, 0),
    )
    count = int(outcome.interruptions[0])
    axes.set(xlabel="hour of the day", ylabel="day", xticks=range(0, 25, 3))
    axes.set_title(f"One run, minute by minute: {count:,} interruptions")
    axes.grid(False)
    shares = np.bincount(image[~np.isnan(image)].astype(int), minlength=len(STATES)) / np.isfinite(image).sum()
    handles = [
        Patch(color=colour, label=f"{name} ({share:.1%})")
        for colour, name, share in zip(COLOURS, STATES, shares, strict=True)
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)


def _until(outcome: Outcome, day: float) -> list[Phase]:
    return [phase for phase in outcome.scenario.phases if phase.start_s < day * DAY_S]
