"""``kolossos notes parity``: how near the scorer comes to stored official outputs."""

from pathlib import Path
from typing import Annotated

import typer


def parity(
    folder: Annotated[Path, typer.Argument(help="Golden folder: tables, official outputs, result.json.")],
    json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Compare in three layers: (a) the fit, (b) the final round and rules, (c) the whole chain."""
    from kolossos.notes.parity.compare import compare

    report = compare(folder)
    if json:
        from json import dumps

        typer.echo(dumps(report, indent=1))
    else:
        from kolossos.cli.show.notes import print_parity

        print_parity(report)
