"""The plots of a simulated run, as an operator would pin them to the wall: one line a plot."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from kolossos.errors import InputError
from kolossos.simulate.engine.play import Outcome, play, prepare
from kolossos.simulate.plots.hours import plot_hours
from kolossos.simulate.plots.policy import plot_policy
from kolossos.simulate.plots.site import plot_power, plot_racks
from kolossos.simulate.plots.timeline import plot_timeline
from kolossos.simulate.search.optimise import Search

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
