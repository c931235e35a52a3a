"""``kolossos notes verify``: the whole log read again."""

import sys
from typing import Annotated

import typer


def verify(
    ledger: Annotated[str, typer.Argument(help="A file, or postgresql://USER@HOST/DATABASE.")],
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Read a ledger's log from its first event and compare every posting, balance and escrow with what must hold."""
    from pathlib import Path

    from kolossos.errors import InputError
    from kolossos.notes.ledger.store import open_store
    from kolossos.notes.ledger.verify import Found, verify

    if "://" not in ledger and not Path(ledger).is_file():
        raise InputError(f"{ledger} is no file; give a ledger that was made before")
    store = open_store(ledger)
    try:
        counted = verify(store, lambda events: print(f"{events:,} events", file=sys.stderr))
    except Found as found:
        typer.echo(f"violated: {found}", err=True)
        raise typer.Exit(1) from None
    if json:
        from json import dumps

        typer.echo(dumps(counted))
        return
    typer.echo(
        f"{counted['events']:,} events, {counted['postings']:,} postings, {counted['markets_ended']:,} markets ended, "
        f"{counted['credits'] / 1e6:,.6f} credits in the world: everything holds"
    )
