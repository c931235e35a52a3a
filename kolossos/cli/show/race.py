"""The compute race for people, from the dictionary of ``kolossos.race.summary``."""

from typing import Any

from rich.table import Table

from kolossos.cli.show.text import table_console
from kolossos.race.summary import binding_word


def print_race(summary: dict[str, Any]) -> None:
    """Stock of every owner year by year, what binds, and how the forecasts of earlier dates did."""
    console = table_console()
    owners = [*summary["owners"], {"owner": "all", "years": summary["world"]}]
    shown = sorted({*range(min(6, len(summary["world"]))), len(summary["world"]) - 1})
    console.print(_stock_table(owners, shown))
    console.print(_binding_table(owners, shown[1:]))
    console.print(
        f"Estimates: {summary['replicates']} replicates, seed {summary['seed']}, start {summary['start']}. "
        f"Source and grade of every assumption: --json. Not modelled: {summary['not_modelled']}."
    )
    for name, row in summary["backtest"]["summary"].items():
        console.print(
            f"Backtest ({name}): {row['covered']} of {row['comparisons']} outcomes inside the 90 % band; "
            f"{row['medians_too_low']} medians too low; typically off by a factor of {row['median_factor_off']:.2f}."
        )


def _stock_table(owners: list[dict[str, Any]], shown: list[int]) -> Table:
    years = [str(owners[0]["years"][y]["year"]) for y in shown]
    last = years[-1]
    table = Table(
        "owner", *years, f"5-95 % {last}", f"GW {last}", f"FLOPs {last}", box=None, padding=(0, 1),
        title="Million H100 equivalents at the end of the year (median); FLOPs: what training can do in the year",
    )  # fmt: skip
    for column in table.columns[1:]:
        column.justify = "right"
    for owner in owners:
        rows = [owner["years"][y] for y in shown]
        stock = rows[-1]["h100_equivalents"]
        table.add_row(
            owner["owner"],
            *(_millions(row["h100_equivalents"]["p50"]) for row in rows),
            f"{_millions(stock['p5'])}-{_millions(stock['p95'])}",
            f"{rows[-1]['power_mw']['p50'] / 1e3:.1f}",
            f"{rows[-1]['training_flops']['p50']:.1e}",
        )
    return table


def _binding_table(owners: list[dict[str, Any]], shown: list[int]) -> Table:
    years = [str(owners[0]["years"][y]["year"]) for y in shown]
    table = Table("owner", *years, box=None, padding=(0, 1), title="What binds most often (share of replicates)")
    for owner in owners:
        table.add_row(owner["owner"], *(binding_word(owner["years"][y]["binding"]) for y in shown))
    return table


def _millions(value: float) -> str:
    return f"{value / 1e6:.1f}" if value < 1e8 else f"{value / 1e6:.0f}"
