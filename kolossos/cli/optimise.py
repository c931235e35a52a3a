"""``kolossos optimise``: the best checkpoint interval, spares and replicas, on the same failures."""

from pathlib import Path
from typing import Annotated

import typer


def optimise(
    model: Annotated[
        str | None, typer.Argument(help="A model of the catalogue, or a TOML file.", show_default=False)
    ] = None,
    cluster: Annotated[str, typer.Option(help="A cluster of the catalogue, or a TOML file.")] = "colossus-100k",
    objective: Annotated[str, typer.Option(help="tokens-per-day or cost-per-token.")] = "tokens-per-day",
    days: Annotated[float | None, typer.Option(help="Length of the run.", show_default="90")] = None,
    grow: Annotated[str | None, typer.Option(help="GPUs that come later.", show_default=False)] = None,
    step_time: Annotated[
        float | None, typer.Option(help="Seconds of a step.", show_default="the planner's best layout")
    ] = None,
    tokens_per_step: Annotated[float | None, typer.Option(help="With --step-time.", show_default="16,777,216")] = None,
    failures: Annotated[str | None, typer.Option(help="Failure table.", show_default="llama3-2024")] = None,
    policy: Annotated[
        str | None, typer.Option(help="store, peer-memory, in-process or shrink-and-heal.", show_default="store")
    ] = None,
    replicates: Annotated[int, typer.Option(help="Runs that each candidate is played on.")] = 16,
    seed: Annotated[int | None, typer.Option(help="Same seed, same bytes.", show_default="0")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the operation.", show_default=False)
    ] = None,
    json_input: Annotated[
        Path | None, typer.Option(help="Every parameter from a JSON or TOML file.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print all candidates as JSON.")] = False,
) -> None:
    """Search checkpoint interval, spare nodes and replicas with common random numbers."""
    from typing import get_args

    from kolossos.cli.simulating import Asked, operation, run_optimise
    from kolossos.errors import InputError, nearest
    from kolossos.simulate.optimise import Objective

    choices: dict[str, Objective] = {name: name for name in get_args(Objective)}
    if objective not in choices:
        raise InputError(f"unknown objective '{objective}'{nearest(objective, choices)}")
    if replicates < 1:
        raise InputError(f"--replicates {replicates}: at least 1")
    asked = Asked(
        model, cluster, days, None, grow, step_time, tokens_per_step, failures, None, None, policy, replicates, seed,
        overrides or [], json_input,
    )  # fmt: skip
    run_optimise(operation(asked), choices[objective], replicates, json)
