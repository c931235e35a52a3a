"""Five plots of a simulated run, as an operator would pin them to the wall."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kolossos.errors import InputError
from kolossos.simulate.engine.buckets import BUCKETS
from kolossos.simulate.engine.play import Outcome, Played, ideal_tokens, play, prepare
from kolossos.simulate.engine.states import STATES, timeline_of
from kolossos.simulate.plots.policy import plot_policy
from kolossos.simulate.plots.site import plot_power, plot_racks
from kolossos.simulate.search.optimise import Search
from kolossos.simulate.spec import DAY_S

STATE_COLOURS = ("#2a9d8f", "#e76f51", "#f4a261", "#9b5de5", "#e9c46a", "#8d99ae")
STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "figure.dpi": 110,
    "svg.hashsalt": "kolossos",
}


def write_plots(outcome: Outcome, search: Search | None, folder: Path) -> list[Path]:
    """Write timeline, hours, policy, power and racks as PNG; the first replicate is the one shown in detail."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from None
    played = play(outcome.scenario, prepare(outcome.scenario, range(1)), outcome.interval_s)
    made = []
    with plt.rc_context(STYLE):
        figures: dict[str, Figure] = {
            "timeline": plot_timeline(outcome, played),
            "hours": plot_hours(outcome),
            "policy": plot_policy(outcome, search),
            "power": plot_power(outcome, played),
            "racks": plot_racks(outcome, played),
        }
        for name, figure in figures.items():
            path = folder / f"{name}.png"
            figure.savefig(path, metadata={"Software": None})
            plt.close(figure)
            made.append(path)
    return made


def plot_timeline(outcome: Outcome, played: Played) -> Figure:
    """Tokens over time with their band, above every minute of one run, a day a row."""
    spec = outcome.scenario.spec
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(11, 9), height_ratios=(1, 1.7), layout="constrained", sharex=False
    )
    days = outcome.curve_days
    low, middle, high = np.quantile(outcome.curve_tokens, [0.05, 0.5, 0.95], axis=0) / 1e12
    top.fill_between(days, low, high, color=STATE_COLOURS[0], alpha=0.3, label="5 to 95 % of runs")
    top.plot(days, middle, color=STATE_COLOURS[0], linewidth=2, label="median")
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
        cmap=ListedColormap(STATE_COLOURS),
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
        for colour, name, share in zip(STATE_COLOURS, STATES, shares, strict=True)
    ]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3)


def plot_hours(outcome: Outcome) -> Figure:
    """Where the delivered GPU-hours went, with the range over the runs."""
    delivered = sum((v for k, v in outcome.gpu_s.items() if k != "not_arrived"), np.zeros(1))
    shares = {k: v / delivered for k, v in outcome.gpu_s.items() if k != "not_arrived" and v.mean() > 0}
    names = sorted(shares, key=lambda name: shares[name].mean())
    means = np.array([100.0 * shares[name].mean() for name in names])
    low = means - [100.0 * np.quantile(shares[name], 0.05) for name in names]
    high = [100.0 * np.quantile(shares[name], 0.95) for name in names] - means
    figure, axes = plt.subplots(figsize=(10, 0.42 * len(names) + 1.8), layout="constrained")
    colours = [STATE_COLOURS[0] if name == "productive" else STATE_COLOURS[1] for name in names]
    whiskers = {"ecolor": "0.3", "capsize": 3, "linewidth": 1}
    axes.barh([BUCKETS[n] for n in names], means, color=colours, xerr=np.clip([low, high], 0, None), error_kw=whiskers)
    for row, (mean, up) in enumerate(zip(means, high, strict=True)):
        hours = outcome.gpu_s[names[row]].mean() / 3600.0
        axes.annotate(f"{mean:.2f} %, {_count(hours)} GPU-h", (mean + max(up, 0), row), (6, 0),
                      textcoords="offset points", va="center", color="0.25")  # fmt: skip
    axes.set_xlim(0, max(means) * 1.4)
    axes.grid(axis="y", visible=False)
    title = f"{outcome.scenario.spec.name}: where {_count(delivered.mean() / 3600.0)} delivered GPU-hours went"
    figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
    axes.set(xlabel="share of delivered GPU-hours, % (whiskers: 5 to 95 % of runs)")
    return figure


def _count(value: float) -> str:
    for size, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def _until(outcome: Outcome, day: float) -> list:
    return [phase for phase in outcome.scenario.phases if phase.start_s < day * DAY_S]
