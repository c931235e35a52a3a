"""``kolossos notes explain``: why a note has its status."""

from pathlib import Path
from typing import Annotated

import typer


def explain(
    note: Annotated[int, typer.Argument(help="The note's id.")],
    folder: Annotated[Path, typer.Option("--in", help="Folder with the public tables.")],
    now: Annotated[
        int | None,
        typer.Option(help="The run's moment, UTC milliseconds.", show_default="the newest time in the tables"),
    ] = None,
    official_steps: Annotated[
        bool, typer.Option(help="Stop both fits where the official optimiser would, not at their minimum.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Say which rule decided about a note, what every rule compared, and what would have changed the status."""
    from kolossos.notes.score.explain import explain as why
    from kolossos.notes.score.prepare import prepare
    from kolossos.notes.score.run import score
    from kolossos.notes.tables.read import read_tables

    explanation = why(score(prepare(read_tables(folder, hashes=False), now), official_steps=official_steps), note)
    if json:
        from dataclasses import asdict
        from json import dumps

        typer.echo(dumps(asdict(explanation), indent=1))
    else:
        from kolossos.cli.show.notes import print_explanation

        print_explanation(explanation)
