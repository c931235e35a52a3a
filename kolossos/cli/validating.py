"""The tables of ``kolossos validate``."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

COLUMNS = (
    ("rows", "rows", "{:,}"),
    ("mean_absolute_error", "mean", "{:.1%}"),
    ("median_absolute_error", "median", "{:.1%}"),
    ("p90_absolute_error", "p90", "{:.1%}"),
    ("bias", "bias", "{:+.1%}"),
    ("coverage_90", "in 90 %", "{:.0%}"),
    ("constant_efficiency_error", "constant", "{:.1%}"),
    ("kendall", "Kendall", "{:.2f}"),
    ("regret", "regret", "{:.1%}"),
)


def print_score(result: dict[str, Any]) -> None:
    """All rows, then by software generation, card and model; what was skipped, and why."""
    console, summary = Console(), result["summary"]
    title = "Predicted against measured step times: absolute errors; constant = one efficiency for all"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for _, heading, _ in COLUMNS:
        table.add_column(heading, justify="right")
    _add(table, "all", summary["all"])
    for title in ("by_generation", "by_gpu"):
        table.add_section()
        for name, figures in summary[title].items():
            _add(table, name, figures)
    console.print(table)
    memory = summary["memory"]
    if memory["rows"]:
        console.print(
            f"memory: {memory['rows']} rows, mean error {memory['mean_absolute_error']:.1%}, "
            f"median {memory['median_absolute_error']:.1%}, bias {memory['bias']:+.1%}"
        )
    skipped = result["skipped"]
    if skipped:
        reasons = ", ".join(f"{reason} {count}" for reason, count in skipped.items())
        console.print(f"skipped {sum(skipped.values())} rows: {reasons}")


def _add(table: Table, name: str, figures: dict[str, Any]) -> None:
    cells = [form.format(figures[key]) if figures[key] is not None else "" for key, _, form in COLUMNS]
    table.add_row(name, *cells)
