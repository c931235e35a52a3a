"""The tables of ``kolossos validate``."""

from typing import Any

from rich.table import Table

from kolossos.cli.show.text import table_console

COLUMNS = (
    ("rows", "rows", 1, ".0f"),
    ("mean_absolute_error", "mean", 100, ".1f"),
    ("median_absolute_error", "median", 100, ".1f"),
    ("p90_absolute_error", "p90", 100, ".1f"),
    ("bias", "bias", 100, "+.1f"),
    ("coverage_90", "cover", 100, ".0f"),
    ("constant_efficiency_error", "const", 100, ".1f"),
    ("kendall", "tau", 1, ".2f"),
    ("regret", "regret", 100, ".1f"),
)
LEGEND = """Step times, predicted against measured, in %: absolute errors (mean, median, 90th percentile) and bias;
cover: measured times inside the 90 % interval; const: mean error of the best single efficiency;
tau: Kendall's rank agreement among layouts; regret: how much slower the favourite is than the best."""


def print_score(result: dict[str, Any]) -> None:
    """All rows, then by software generation, card and model; what was skipped, and why."""
    console, summary = table_console(), result["summary"]
    console.print(LEGEND, highlight=False)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for _, heading, _, _ in COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
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
    cells = [format(figures[key] * scale, form) if figures[key] is not None else "" for key, _, scale, form in COLUMNS]
    table.add_row(name, *cells)
