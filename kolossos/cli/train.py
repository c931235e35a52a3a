"""``kolossos train``: start a run, or go on with one."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    run: Annotated[Path, typer.Argument(help="A run file (TOML), or a run folder to go on with.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as optimizer.lr=0.001.", show_default=False)
    ] = None,
    folder: Annotated[Path | None, typer.Option("--run", help="Run folder.", show_default="runs/NAME")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Choose schedule.steps so that training takes about this long here.", show_default=False),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again: replace a run that is in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train a model. Interrupted or killed, the same command goes on where the last checkpoint stands."""
    from kolossos.specs.run import load_run
    from kolossos.train.waiting import choose_waiting

    if not run.is_dir():
        load_run(run, overrides)  # a mistake in the run file is said at once, before torch is loaded
    busy_cores = choose_waiting()
    from kolossos.cli.training import run_training

    run_training(run, overrides or [], folder, minutes, fresh, busy_cores, json)
