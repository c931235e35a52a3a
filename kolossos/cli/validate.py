"""``kolossos validate``: predictions against published runs, of a step (plan) or of months (simulate)."""

from pathlib import Path
from typing import Annotated

import typer


def validate(
    *,
    measurements: Annotated[
        Path | None, typer.Option("--measurements", help="CSV of measured training steps.", dir_okay=False)
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option("--models", help="JSON of the models' architectures; without it, the catalogue.", dir_okay=False),
    ] = None,
    operations: Annotated[
        bool, typer.Option("--operations", help="Compare simulated months with published runs instead.")
    ] = False,
    json_input: Annotated[
        Path | None, typer.Option("--json-input", help="With --operations: a run of your own, with what it published.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="With --json-input: key=value.")] = None,
    replicates: Annotated[int, typer.Option(help="With --operations: simulated runs.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="With --operations: seed.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Score the planner on a CSV of measured steps, or the simulator on published operations."""
    from kolossos.errors import InputError

    if operations:
        from kolossos.cli.validate_operations import run_validate_operations

        run_validate_operations(json_input, set_ or [], replicates, seed, json)
        return
    if measurements is None:
        raise InputError("give --measurements FILE.csv to score the planner, or --operations to score the simulator")
    from json import dumps

    from kolossos.plan.published.score import score

    result = score(measurements, models)
    if json:
        typer.echo(dumps(result, indent=1))
        return
    from kolossos.cli.show.validate import print_score

    print_score(result)
