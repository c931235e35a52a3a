"""``kolossos notes score``: a status for every note."""

from pathlib import Path
from typing import Annotated

import typer


def score(
    folder: Annotated[Path, typer.Argument(help="Folder with the public tables.")],
    out: Annotated[Path, typer.Option(help="Folder for scored_notes.tsv and helpfulness_scores.tsv.")],
    now: Annotated[
        int | None,
        typer.Option(help="The run's moment, UTC milliseconds.", show_default="the newest time in the tables"),
    ] = None,
    pseudo_raters: Annotated[
        bool, typer.Option(help="Also bound every intercept by added ratings (rule UcbCRNH).")
    ] = False,
    wait: Annotated[
        bool, typer.Option(help="Let a note that is new to Helpful wait until its status is stable.")
    ] = True,
    official_steps: Annotated[
        bool, typer.Option(help="Stop both fits where the official optimiser would, not at their minimum.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score every note: bridging model, helpfulness of raters, the core rules, stability and lock."""
    from kolossos.notes.score.output import write_outputs
    from kolossos.notes.score.prepare import prepare
    from kolossos.notes.score.run import score as run
    from kolossos.notes.score.summary import summarise
    from kolossos.notes.tables.read import read_tables

    tables = read_tables(folder)
    scoring = run(prepare(tables, now), pseudo_raters, wait, official_steps)
    summary = summarise(scoring, tables, write_outputs(scoring, out))
    if json:
        from json import dumps

        typer.echo(dumps(summary, indent=1))
    else:
        from kolossos.cli.show.notes import print_summary

        print_summary(summary, out)
