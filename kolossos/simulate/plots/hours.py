"""Where the delivered GPU-hours went."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kolossos.simulate.engine.buckets import BUCKETS
from kolossos.simulate.engine.play import Outcome

KEPT, LOST = "#2a9d8f", "#e76f51"


def plot_hours(outcome: Outcome) -> Figure:
    """Where the delivered GPU-hours went, with the range over the runs."""
    delivered = sum((v for k, v in outcome.gpu_s.items() if k != "not_arrived"), np.zeros(1))
    shares = {k: v / delivered for k, v in outcome.gpu_s.items() if k != "not_arrived" and v.mean() > 0}
    names = sorted(shares, key=lambda name: shares[name].mean())
    means = np.array([100.0 * shares[name].mean() for name in names])
    low = means - [100.0 * np.quantile(shares[name], 0.05) for name in names]
    high = [100.0 * np.quantile(shares[name], 0.95) for name in names] - means
    figure, axes = plt.subplots(figsize=(10, 0.42 * len(names) + 1.8), layout="constrained")
    colours = [KEPT if name == "productive" else LOST for name in names]
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
