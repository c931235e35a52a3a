"""Simulated months beside published ones, for people."""

from typing import Any

from rich.console import Console

from kolossos.cli.show.simulation import plain_table, span
from kolossos.cli.show.text import table_console


def print_comparison(figures: dict[str, Any], console: Console | None = None) -> None:
    """Published beside simulated, and the ETTR formula over its grid."""
    console = console or table_console()
    table = plain_table("figure", "published", "simulated", "5 to 95 %", "agrees", "check")
    for row in figures["rows"]:
        found = row["simulated"]
        spread = f"{found['p05']:.4g} to {found['p95']:.4g}" if "p05" in found else ""
        agrees = {True: "yes", False: "[red]no[/red]", None: "-"}[row["agrees"]]
        table.add_row(row["quantity"], row["published"], f"{found['mean']:.4g}", spread, agrees, row["check"])
    console.print(table)
    for row in figures["rows"]:
        console.print(f"{row['id']}: {row['inputs']}. {row['note']} [{row['source']}]", style="dim", markup=False)
    s = figures["summary"]
    console.print(
        f"Expected ETTR (arXiv:2410.21680), {s['ettr_cells']} cells of size, interval and restart: where a failure per "
        f"cycle is unlikely ({s['ettr_cells_where_assumptions_hold']} cells) the simulation is within "
        f"{s['largest_difference_there_points']:.2f} points of the formula; elsewhere the formula is off by up to "
        f"{s['largest_difference_elsewhere_points']:.0f} points, for it leaves out failures during lost work and "
        f"recovery (it may fall below 0). Against the exact expectation the simulation is nowhere further than "
        f"{s['largest_distance_from_exact_in_standard_errors']:.1f} standard errors."
    )


def print_file_comparison(figures: dict[str, Any], console: Console | None = None) -> None:
    """The user's published figures beside the simulated ones."""
    console = console or table_console()
    table = plain_table("figure", "published", "simulated", "5 to 95 %", "relative error", "inside")
    for row in figures["rows"]:
        error = "-" if row["relative_error"] is None else f"{row['relative_error']:+.1%}"
        inside = "yes" if row["within_5_to_95"] else "no"
        table.add_row(row["figure"], f"{row['published']:.5g}", *span(row, ".5g"), error, inside)
    console.print(table if figures["rows"] else "no published figures in the file; kolossos simulate shows the run")
