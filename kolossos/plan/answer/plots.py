"""A plan as a picture: where the step goes, memory by stage, the Pareto front, and what the runners-up lose by."""

from pathlib import Path
from typing import Any

from kolossos.plan.answer.one_kind import GIB, Answer
from kolossos.plan.rules.check import describe

COLOURS = {
    "matmul": "#1b4965",
    "attention": "#2a6f97",
    "elementwise": "#61a5c2",
    "quantize": "#89c2d9",
    "overhead": "#adb5bd",
    "contention": "#ced4da",
    "tp_exposed": "#9d0208",
    "cp_exposed": "#d00000",
    "ep_exposed": "#dc2f02",
    "pp_exposed": "#f48c06",
    "dp_exposed": "#faa307",
    "bubble": "#ffd166",
    "imbalance": "#e9d8a6",
    "optimizer": "#6a994e",
    "jitter": "#b5838d",
}
"""Work in blues, visible communication in reds and oranges, waiting in yellows."""
OTHER = "#999999"
SHORTEST_SHOWN = 0.004
"""Share of a step from which a part has its own entry in the legend."""


def plot_answer(answer: Answer, path: Path) -> None:
    """Write the picture; the suffix of ``path`` chooses the format."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    grid = figure.add_gridspec(3, 2, height_ratios=(1.6, 0.8, 1.3))
    _steps(figure.add_subplot(grid[0, :]), answer)
    _memory(figure.add_subplot(grid[1, :]), answer)
    left, right = figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])
    _front(left, answer, "days", lambda c: c.seconds_per_token * answer.tokens / 86_400)
    points = _front(right, answer, "rent, million USD", lambda c: c.usd_per_token * answer.tokens / 1e6)
    figure.colorbar(points, ax=[left, right], label="energy, GWh")
    layout = answer.priced.layout
    figure.suptitle(
        f"{answer.job.model.name} on {answer.cluster.name}: {layout.world_size:,} {answer.job.gpu.name}, "
        f"{answer.tokens:.3g} tokens in {answer.bill.days:,.1f} days (estimate)\n{describe(layout)}, "
        f"recompute {layout.recompute}, {layout.precision}, {layout.schedule}, sharding {layout.sharding}",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)


def _steps(axes: Any, answer: Answer) -> None:
    """One bar for the best layout and each runner-up, scaled to the same tokens."""
    bars = [("best", answer.priced)]
    bars += [(_short(r.differs), r.priced) for r in answer.runner_ups]
    shown: set[str] = set()
    for row, (_, priced) in enumerate(bars):
        scale = answer.priced.tokens_per_step / priced.tokens_per_step
        left = 0.0
        for part in COLOURS:
            seconds = priced.parts.get(part, 0.0) * scale
            label = (
                part.replace("_", " ") if part not in shown and seconds > SHORTEST_SHOWN * priced.step_time_s else None
            )
            if label:
                shown.add(part)
            axes.barh(row, seconds, left=left, color=COLOURS[part], label=label, height=0.75)
            left += seconds
    low, high = answer.intervals["step_time_s"]
    step = answer.priced.step_time_s
    axes.errorbar(step, 0, xerr=[[step - low], [high - step]], color="black", capsize=4, label="90 % interval")
    axes.set_yticks(range(len(bars)))
    axes.set_yticklabels([name for name, _ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("seconds for the tokens of the best layout's step")
    axes.set_title("Where the step goes, and what the runners-up lose by", fontsize=10)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _short(differs: dict[str, int | str]) -> str:
    words = [f"{name}={value}" for name, value in differs.items()]
    return " ".join(words[:3]) + (" ..." if len(words) > 3 else "")


def _memory(axes: Any, answer: Answer) -> None:
    stages = answer.stages
    places = [stage.stage + 1 for stage in stages]
    bottom = [0.0] * len(stages)
    for name, colour in (("states", "#1b4965"), ("activations", "#61a5c2"), ("other", "#ced4da")):
        heights = [getattr(stage, name) / GIB for stage in stages]
        label = {"states": "weights, gradients, optimizer", "other": "buffers, runtime"}.get(name, name)
        axes.bar(places, heights, bottom=bottom, color=colour, label=label)
        bottom = [b + h for b, h in zip(bottom, heights, strict=True)]
    limit = answer.job.gpu.memory_bytes / GIB
    axes.axhline(limit, color="#9d0208", linestyle="--", linewidth=1, label=f"{answer.job.gpu.name}: {limit:.1f} GiB")
    axes.set_xlabel("pipeline stage")
    axes.set_ylabel("GiB a GPU")
    axes.set_xlim(0.4, len(stages) + 0.6)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title("Memory", fontsize=10)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _front(axes: Any, answer: Answer, name: str, value: Any) -> Any:
    """The front in one figure against GPUs, coloured by energy."""
    front = answer.found.front if answer.found else [answer.priced.choice]
    energy = [choice.joules_per_token * answer.tokens / 3.6e12 for choice in front]
    points = axes.scatter([c.n_gpus for c in front], [value(c) for c in front], c=energy, cmap="viridis", s=22)
    best = answer.priced.choice
    axes.scatter([best.n_gpus], [value(best)], facecolors="none", edgecolors="#9d0208", s=110, label="the plan")
    axes.set_xlabel("GPUs")
    axes.set_ylabel(name)
    axes.set_ylim(0, 1.1 * max(value(c) for c in [*front, best]))
    axes.set_title(f"Pareto front: {name} against GPUs", fontsize=10)
    axes.legend(fontsize=7)
    return points
