"""``kolossos race``: who will hold how much compute, year by year."""

from pathlib import Path
from typing import Annotated

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
    *,
    claim: Annotated[
        str | None,
        typer.Option(
            help="How likely is it: 'xAI > all others', 'Google + Meta > 60M', 'xAI > 5 GW'.", show_default=False
        ),
    ] = None,
    by: Annotated[
        int | None, typer.Option(help="With --claim: at the end of this year (2030).", show_default=False)
    ] = None,
) -> None:
    """Simulate the compute race of the owners of AI chips: money, chips, power and build time as the limits."""
    from kolossos.cli.options import value_of
    from kolossos.errors import InputError

    for name, value, low, high in (("years", years, 1, 20), ("replicates", replicates, 2, 20_000)):
        if not low <= value <= high:
            raise InputError(f"--{name} {value}: expected a number from {low} to {high:,}")
    if seed < 0:
        raise InputError(f"--seed {seed}: expected 0 or more")
    if claim is not None and plot:
        raise InputError("--plot draws the whole race: leave --claim out")
    if claim is None and by is not None:
        raise InputError(f"--by {by} needs a --claim, such as --claim 'xAI > all others'")
    from kolossos.race.assumptions import load_assumptions, load_sites
    from kolossos.race.backtest import backtest
    from kolossos.race.plot import check_plot_path, plot_race
    from kolossos.race.summary import summarise
    from kolossos.race.years import run_race

    if plot:
        with value_of("--plot"):
            check_plot_path(plot)
    chosen, sites = load_assumptions(assumptions), load_sites()
    if claim is not None:
        from kolossos.cli.show.race import print_answer
        from kolossos.race.claim import answer_claim, last_year, parse_claim

        with value_of("--claim"):
            parsed = parse_claim(claim, list(chosen.owners))
        with value_of("--by"):
            year = last_year(by, chosen)
        found = answer_claim(parsed, year, chosen, sites, seed, replicates)
        if json:
            from json import dumps

            typer.echo(dumps(found, indent=1))
        else:
            print_answer(found)
        return
    outcome = run_race(chosen, sites, years, seed, replicates)
    summary = summarise(outcome, chosen, seed, backtest(sites, seed, replicates))
    if plot:
        plot_race(summary, chosen, plot)
    if json:
        from json import dumps

        typer.echo(dumps(summary, indent=1))
    else:
        from kolossos.cli.show.race import print_race

        print_race(summary)
        if plot:
            typer.echo(f"picture: {plot}")
