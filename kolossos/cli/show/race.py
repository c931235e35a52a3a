"""The compute race for people, from the dictionary of ``kolossos.race.summary``."""

from typing import Any

from rich.table import Table

from kolossos.cli.show.text import table_console
from kolossos.race.backtest import UNTUNED
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
            f"{row['medians_too_low']} medians too low; typically off by {_factor(row['median_factor_off'])}."
        )


def print_answer(found: dict[str, Any]) -> None:
    """How likely a claim is, from which year, what it would take, and how past forecasts did."""
    console = table_console()
    by, last = found["by"], found["last_year_looked_at"]
    even = found["even_odds_year"]
    when = f"even odds at the end of {even}" if even else f"even odds not before {last + 1}"
    start = int(found["start"][:4])
    if even == start:
        when = f"true at the start already ({found['start']})"
    console.print(
        f"{found['claim']}, end of {by}: probability {_percent(found['probability'], found['replicates'])}; {when}."
    )
    for side in found["sides"].values():
        console.print(f"  {side['what']}: {_amount(side, found['unit'])}")
    needs = found["it_would_take"]
    if needs:
        chips, usd, gw, times = (needs[key] for key in ("h100_equivalents", "usd", "gw", "times_what_is_foreseen"))
        console.print(
            f"It would take, {needs['what']} (median, 5-95 %): {_millions(chips['p50'])} M H100 equivalents "
            f"({_millions(chips['p5'])}-{_millions(chips['p95'])}), "
            f"{gw['p50']:.1f} GW ({gw['p5']:.1f}-{gw['p95']:.1f}), "
            f"{usd['p50'] / 1e9:,.0f} bn USD ({usd['p5'] / 1e9:,.0f}-{usd['p95'] / 1e9:,.0f}): "
            f"{times['p50']:.1f} times what is foreseen ({times['p5']:.1f}-{times['p95']:.1f})."
        )
    years = "  ".join(
        f"{year} {_percent(p, found['replicates'])}"
        for year, p in found["probability_by_year"].items()
        if int(year) <= by
    )
    console.print(f"By year: {years}")
    row = found["backtest"][UNTUNED]
    console.print(
        f"Estimates: {found['replicates']} replicates, seed {found['seed']}. Backtest with what was known at the time: "
        f"{row['covered']} of {row['comparisons']} outcomes inside the 90 % band, medians typically off by a factor of "
        f"{row['median_factor_off']:.2f}, half a year to five years on (owners and sites: to two years)."
    )


def _factor(value: float | None) -> str:
    return "infinitely much (nothing was forecast)" if value is None else f"a factor of {value:.2f}"


def _percent(p: float, replicates: int) -> str:
    if p == 0 or p == 1:  # no more can be said than so many replicates show
        bound = 100 / replicates
        return f"< {bound:.2g} %" if p == 0 else f"> {100 - bound:.4g} %"
    return f"{100 * p:.3g} %"


def _amount(band: dict[str, Any], unit: str) -> str:
    scale, name, digits = (1e3, "GW", 1) if unit.startswith("MW") else (1e6, "M H100 equivalents", 1)
    low, median, high = (f"{band[p] / scale:.{digits}f}" for p in ("p5", "p50", "p95"))
    return f"{median} {name}" + (f" ({low}-{high})" if low != high else "")


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
