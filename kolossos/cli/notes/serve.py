"""``kolossos notes serve``: the markets behind an API and a page."""

from typing import Annotated

import typer


def serve(
    *,
    ledger: Annotated[str, typer.Option(help="A file, or postgresql://USER@HOST/DATABASE.")] = "notes.db",
    host: Annotated[str, typer.Option(help="Beyond this machine every request needs a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free.")] = 8750,
    treasury: Annotated[str, typer.Option(help="Credits that a new ledger's treasury begins with.")] = "1000000",
    entry: Annotated[float, typer.Option(help="Show a note when its price stays at or above this.")] = 0.8,
    exit_: Annotated[float, typer.Option("--exit", help="Take it down when its price stays below this.")] = 0.6,
    holdout: Annotated[float, typer.Option(help="Share of notes never shown early, to measure by.")] = 0.1,
    rate: Annotated[float, typer.Option(help="Requests a second for each who asks.")] = 50.0,
    json: Annotated[bool, typer.Option("--json", help="Print address and key as JSON.")] = False,
) -> None:
    """Serve until stopped. The first start makes an operator and prints its key, once."""
    from kolossos.errors import InputError
    from kolossos.notes.decide import Policy
    from kolossos.notes.market.amounts import from_credits
    from kolossos.notes.serve.run import Started, serve

    shares = {"--entry": entry, "--exit": exit_, "--holdout": holdout}
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name} {value}: expected a share from 0 to 1")
    if not rate > 0:
        raise InputError(f"--rate {rate}: expected more than 0 requests a second")
    entry_ppm, exit_ppm, holdout_ppm = (round(value * 1_000_000) for value in shares.values())

    def started(it: Started) -> None:
        if json:
            from json import dumps

            typer.echo(dumps({"address": it.address, "ledger": it.ledger, "key": it.key}))
            return
        typer.echo(f"{it.address} (ledger: {it.ledger})")
        if it.key:
            typer.echo(f"operator's key, shown this once: {it.key}")

    serve(
        ledger,
        host,
        port,
        treasury=from_credits(treasury, "--treasury"),
        policy=Policy(entry_ppm=entry_ppm, exit_ppm=exit_ppm, holdout_ppm=holdout_ppm),
        started=started,
        per_second=rate,
    )
