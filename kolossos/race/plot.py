"""The race as one picture: a panel an owner with its band, what binds below, the assumptions beside."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.files import write_whole
from kolossos.race.assumptions import RaceAssumptions
from kolossos.race.summary import assumption_lines
from kolossos.race.years import LIMITS

FORMATS = ("png", "svg", "pdf")
COLOURS = {"money": "#3b6fb6", "chips": "#e08a1e", "power": "#b8312f", "build time": "#7a5195"}
BAND = "#3b6fb6"


def check_plot_path(path: Path) -> None:
    """InputError unless ``path`` ends in a known format and its folder is there."""
    if path.suffix.lstrip(".") not in FORMATS:
        raise InputError(f"{path}: expected a file name that ends in .{', .'.join(FORMATS)}")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: no such folder: {path.resolve().parent}")


def plot_race(summary: dict[str, Any], assumptions: RaceAssumptions, path: Path) -> None:
    """Write the picture to ``path``; the same summary gives the same bytes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "kolossos", "font.size": 8}):
        owners = summary["owners"]
        columns = 4
        rows = -(-len(owners) // columns)
        figure = plt.figure(figsize=(16, 3.1 * rows + 3.4))
        grid = figure.add_gridspec(
            rows + 1, columns, left=0.05, right=0.7, top=0.9, bottom=0.07, hspace=0.42, wspace=0.12,
            height_ratios=[3.0] * rows + [2.3],
        )  # fmt: skip
        first = None
        for i, owner in enumerate(owners):
            axes = figure.add_subplot(grid[i // columns, i % columns], sharey=first)
            first = first or axes
            _owner_panel(axes, owner, labels=i % columns == 0)
        _limit_panel(figure.add_subplot(grid[rows, :]), owners)
        _words(figure, summary, assumptions)
        buffer = io.BytesIO()
        kind = path.suffix.lstrip(".")
        dateless = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
        figure.savefig(buffer, format=kind, dpi=110, metadata=dateless)
        plt.close(figure)
    write_whole(path, buffer.getvalue())


def _owner_panel(axes: Any, owner: dict[str, Any], labels: bool) -> None:
    years = [row["year"] for row in owner["years"]]
    low, mid, high = ([row["h100_equivalents"][p] for row in owner["years"]] for p in ("p5", "p50", "p95"))
    axes.fill_between(years, low, high, color=BAND, alpha=0.25, linewidth=0)
    axes.plot(years, mid, color=BAND, marker="o", markersize=3)
    axes.set_yscale("log")
    axes.grid(True, which="major", alpha=0.3)
    last = owner["years"][-1]
    megawatts = last["power_mw"]
    axes.set_title(
        f"{owner['owner']}: {_count(mid[0])} to {_count(mid[-1])} ({_count(low[-1])} to {_count(high[-1])})\n"
        f"{megawatts['p50'] / 1e3:.1f} GW ({megawatts['p5'] / 1e3:.1f} to {megawatts['p95'] / 1e3:.1f}) in {years[-1]}",
        fontsize=8,
    )
    axes.set_xticks(years)
    axes.set_xticklabels([f"{year % 100:02d}" for year in years])
    if labels:
        axes.set_ylabel("H100 equivalents, end of year")
    else:
        axes.tick_params(labelleft=False)


def _limit_panel(axes: Any, owners: list[dict[str, Any]]) -> None:
    """Stacked bars: how often each limit held an owner down, year by year."""
    years = [row["year"] for row in owners[0]["years"][1:]]
    width = 0.8 / len(years)
    for i, owner in enumerate(owners):
        for y, row in enumerate(owner["years"][1:]):
            bottom = 0.0
            for name in LIMITS:
                share = row["binding"][name]
                place = i + (y - (len(years) - 1) / 2) * width
                axes.bar(place, share, width * 0.9, bottom, color=COLOURS[name], linewidth=0)
                bottom += share
    axes.set_xticks(range(len(owners)))
    axes.set_xticklabels([owner["owner"] for owner in owners])
    axes.set_ylim(0, 1)
    axes.set_ylabel("share of replicates")
    axes.set_title(f"What held the additions of each year down (bars: {years[0]} to {years[-1]})", fontsize=8)
    from matplotlib.patches import Patch

    axes.legend(handles=[Patch(color=COLOURS[name], label=name) for name in LIMITS], ncol=4, fontsize=7,
                loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False)  # fmt: skip


def _words(figure: Any, summary: dict[str, Any], assumptions: RaceAssumptions) -> None:
    """The title, and beside the panels: the assumptions, the largest drivers, the backtest."""
    world = summary["world"][-1]
    figure.text(0.05, 0.965, "The compute race: who holds how many AI chips", fontsize=14, weight="bold")
    stock = world["h100_equivalents"]
    figure.text(
        0.05, 0.94,
        f"Estimate by simulation from {summary['start']}: median and 5 to 95 % band of {summary['replicates']} "
        f"replicates, seed {summary['seed']}. All owners in {world['year']}: {_count(stock['p50'])} "
        f"({_count(stock['p5'])} to {_count(stock['p95'])}) H100 equivalents.",
        fontsize=9,
    )  # fmt: skip
    lines = ["ASSUMPTIONS (5 / 50 / 95 %) [grade]", *assumption_lines(assumptions), ""]
    built = [f"{word} {share:g}" for word, share in assumptions.certainty.items()]
    lines += ["share of announced sites that are built:", "  " + ", ".join(built), ""]
    lines += ["DRIVERS of the last year's sum (rank correlation)"]
    lines += [f"{name}  {value:+.2f}" for name, value in list(summary["drivers_of_world_stock"].items())[:6]]
    lines += ["", "BACKTEST (outcomes inside the 90 % band)"]
    for name, row in summary["backtest"]["summary"].items():
        lines += [
            name,
            f"  {row['covered']} of {row['comparisons']}; typical median off x{row['median_factor_off']:.2f}",
        ]
    lines += ["", "Grades: P text opened, A official page,", "S secondary, D our arithmetic or judgement.",
              "Data: Epoch AI (CC-BY 4.0), company guidance;", "each source: kolossos race --json"]  # fmt: skip
    figure.text(0.715, 0.93, "\n".join(lines), fontsize=7.2, va="top", family="monospace", linespacing=1.35)


def _count(value: float) -> str:
    power = int(np.floor(np.log10(max(value, 1))))
    return f"{value / 1e6:.3g} M" if power >= 6 else f"{value / 1e3:.3g} k"
