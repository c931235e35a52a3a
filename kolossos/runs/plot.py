"""loss.png: training loss, validation, and where the run has experts, how evenly they are used."""

from pathlib import Path

import numpy as np

from kolossos.files import whole_file
from kolossos.runs.events import read_events


def plot_run(metrics: Path, out: Path, title: str) -> None:
    """Draw a run's metrics into a PNG; nothing to draw is no error."""
    train = read_events(metrics, "train")
    scored = [event for event in read_events(metrics, "validation") if event["n_tokens"]]
    if not train:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    has_experts = "load_entropy" in train[0]
    figure = Figure(figsize=(8, 6 if has_experts else 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [3, 1] if has_experts else [1]
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    tokens = np.array([e["tokens"] for e in train]) / 1e6
    loss = np.array([e["loss"] for e in train])
    axes[0].plot(tokens, loss, color="0.75", linewidth=0.8, label="training, each step")
    axes[0].plot(tokens, _smooth(loss), color="C0", label="training, running mean")
    if scored:
        at = {e["step"]: e["tokens"] / 1e6 for e in train}
        points = [(at[e["step"]], e["validation_loss"]) for e in scored if e["step"] in at]
        axes[0].plot(*zip(*points, strict=True), "o-", color="C3", markersize=4, label="validation")
    axes[0].set_ylabel("loss (nats/token)")
    axes[0].set_title(title)
    axes[0].grid(alpha=0.3)
    axes[0].legend()
    if has_experts:
        axes[1].plot(tokens, [e["load_entropy"] for e in train], color="C2")
        axes[1].set_ylim(0, 1.05)
        axes[1].set_ylabel("entropy of the\nexperts' load")
        axes[1].grid(alpha=0.3)
    axes[-1].set_xlabel("tokens (millions)")
    out.parent.mkdir(exist_ok=True)
    with whole_file(out) as file:
        figure.savefig(file, dpi=120, format="png")


def _smooth(values: np.ndarray, share: float = 0.03) -> np.ndarray:
    """Mean over the last ``share`` of the run at each point."""
    width = max(1, round(len(values) * share))
    sums = np.cumsum(np.concatenate(([0.0], values)))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)
