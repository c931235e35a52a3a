"""``kolossos race``: who will hold how much compute, year by year."""

from pathlib import Path
from typing import Annotated, Any

import typer


def race(
    years: Annotated[int, typer.Option(help="How many years from the start of the data.")] = 5,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    replicates: Annotated[int, typer.Option(help="Replicates of the simulation.")] = 2000,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, with sources and backtest.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write the picture here (.png, .svg, .pdf).", show_default=False)
    ] = None,
    assumptions: Annotated[
        Path | None, typer.Option(help="TOML file with your own values for some assumptions.", show_default=False)
    ] = None,
) -> None:
    """Simulate the compute race of the owners of AI chips: money, chips, power and build time as the limits."""
    from kolossos.errors import InputError

    for name, value, low, high in (("years", years, 1, 20), ("replicates", replicates, 2, 20_000)):
        if not low <= value <= high:
            raise InputError(f"--{name} {value}: expected a number from {low} to {high:,}")
    if seed < 0:
        raise InputError(f"--seed {seed}: expected 0 or more")
    from kolossos.simulate.race import run_race
    from kolossos.simulate.race_assumptions import load_assumptions, load_sites
    from kolossos.simulate.race_backtest import backtest
    from kolossos.simulate.race_plot import check_plot_path, plot_race
    from kolossos.simulate.race_summary import summarise

    if plot:
        check_plot_path(plot)
    chosen, sites = load_assumptions(assumptions), load_sites()
    outcome = run_race(chosen, sites, years, seed, replicates)
    summary = summarise(outcome, chosen, seed, backtest(sites, seed, replicates))
    if plot:
        plot_race(summary, chosen, plot)
    if json:
        from json import dumps

        typer.echo(dumps(summary, indent=1))
    else:
        _show(summary)
        if plot:
            typer.echo(f"picture: {plot}")


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console()
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


def _stock_table(owners: list[dict[str, Any]], shown: list[int]) -> Any:
    from rich.table import Table

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


def _binding_table(owners: list[dict[str, Any]], shown: list[int]) -> Any:
    from rich.table import Table

    from kolossos.simulate.race_summary import binding_word

    years = [str(owners[0]["years"][y]["year"]) for y in shown]
    table = Table("owner", *years, box=None, padding=(0, 1), title="What binds most often (share of replicates)")
    for owner in owners:
        table.add_row(owner["owner"], *(binding_word(owner["years"][y]["binding"]) for y in shown))
    return table


def _millions(value: float) -> str:
    return f"{value / 1e6:.1f}" if value < 1e8 else f"{value / 1e6:.0f}"
