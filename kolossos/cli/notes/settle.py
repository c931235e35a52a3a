"""``kolossos notes settle``: from tables to verdicts."""

from pathlib import Path
from typing import Annotated

import typer


def settle(
    folder: Annotated[Path, typer.Option("--in", help="Folder with the public tables.")],
    ledger: Annotated[str, typer.Option(help="A file, or postgresql://USER@HOST/DATABASE.")] = "notes.db",
    by: Annotated[str, typer.Option(help="The account that proposes: an operator or an auditor.")] = "operator",
    now: Annotated[
        float | None, typer.Option(help="The tables' moment in ms; the last rating's if not stated.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was proposed as JSON.")] = False,
) -> None:
    """Score the tables and propose an outcome for every open market whose question they answer, with the evidence.

    A proposal that nobody challenges within six hours becomes final while the server runs.
    """
    from kolossos.cli.show.notes import print_proposals
    from kolossos.errors import InputError
    from kolossos.notes.ledger.ledger import Ledger
    from kolossos.notes.oracle.resolve import propose_from

    opened = Ledger(ledger)
    answers = propose_from(opened, folder, by, now)
    opened.close()
    made = [answer for answer in answers if not isinstance(answer, InputError)]
    refused = [str(answer) for answer in answers if isinstance(answer, InputError)]
    if json:
        from json import dumps

        typer.echo(dumps({"proposed": made, "refused": refused}, indent=1))
    else:
        print_proposals(made, refused)
    if refused and not made:
        raise typer.Exit(1)
