"""The plots of a measurement, as PNG."""

import io
from typing import Any

SIZE = (6.4, 4.0)


def draw(curves: dict[str, Any]) -> dict[str, bytes]:
    """The abstention curve, and how often what was stated came true."""
    return {"abstention": _abstention(curves), "calibration": _calibration(curves)}


def _abstention(curves: dict[str, Any]) -> bytes:
    figure, axes = _axes()
    axes.step(curves["answered_without"], curves["answered"], where="post")
    axes.axvline(0.02, linestyle=":", color="grey")
    axes.axhline(0.9, linestyle=":", color="grey")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("answered though the article was taken away")
    axes.set_ylabel("answered with it there")
    return _png(figure)


def _calibration(curves: dict[str, Any]) -> bytes:
    figure, axes = _axes()
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    for name, label in (("support_bins", "an answer is there"), ("right_bins", "the first sentence holds it")):
        bins = curves[name]
        axes.plot([b["stated"] for b in bins], [b["true"] for b in bins], marker="o", label=label)
    axes.set_xlabel("stated probability")
    axes.set_ylabel("share that was so")
    axes.legend()
    return _png(figure)


def _axes() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    return figure, figure.subplots()


def _png(figure: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()
