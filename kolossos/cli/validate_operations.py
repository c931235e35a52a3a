"""``kolossos validate --operations``: simulated against published runs, or a run of the user's own."""

from pathlib import Path

import typer

from kolossos.simulate.published import validate_file, validate_operations
from kolossos.simulate.summary import as_json


def run_validate_operations(file: Path | None, overrides: list[str], replicates: int, seed: int, json: bool) -> None:
    """Compare with the published runs that come with Kolossos, or with ``published`` figures in ``file``."""
    figures = validate_file(file, overrides) if file is not None else validate_operations(replicates, seed)
    if json:
        typer.echo(as_json(figures))
        return
    from kolossos.cli.show.operations import print_comparison, print_file_comparison

    if file is not None:
        print_file_comparison(figures)
    else:
        print_comparison(figures)
