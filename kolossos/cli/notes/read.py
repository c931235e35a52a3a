"""``kolossos notes read``: what a folder of public tables holds."""

from pathlib import Path
from typing import Annotated

import typer


def read(
    folder: Annotated[Path, typer.Argument(help="Folder with notes, ratings and the other tables, TSV or parquet.")],
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Read the public tables by column name; hashes, rows, and whatever contradicts itself."""
    from dataclasses import asdict

    from kolossos.notes.tables.contradictions import contradictions
    from kolossos.notes.tables.read import read_tables

    tables = read_tables(folder)
    found = contradictions(tables)
    if json:
        from json import dumps

        report = {"files": [asdict(f) for f in tables.files], "contradictions": [asdict(c) for c in found]}
        typer.echo(dumps(report, indent=1))
    else:
        from kolossos.cli.show.notes import print_read

        print_read(tables, found)
