"""``kolossos optimise``: the best checkpoint interval, spares and replicas, on the same failures."""

from pathlib import Path
from typing import Annotated

import typer

from kolossos.simulate.policies import policy_names


def optimise(
    model: Annotated[
        str | None, typer.Argument(help="A model of the catalogue, or a TOML file.", show_default=False)
    ] = None,
    *,
    cluster: Annotated[str, typer.Option(help="A cluster of the catalogue, or a TOML file.")] = "colossus-100k",
    objective: Annotated[
        str, typer.Option(help="What counts as best, such as tokens-per-day or cost-per-token.")
    ] = "tokens-per-day",
    days: Annotated[float | None, typer.Option(help="Length of the run.", show_default="90")] = None,
    grow: Annotated[str | None, typer.Option(help="GPUs that come later.", show_default=False)] = None,
    step_time: Annotated[
        float | None, typer.Option(help="Seconds of a step.", show_default="the planner's best layout")
    ] = None,
    tokens_per_step: Annotated[float | None, typer.Option(help="With --step-time.", show_default="16,777,216")] = None,
    failures: Annotated[str | None, typer.Option(help="Failure table.", show_default="llama3-2024")] = None,
    policy: Annotated[
        str | None,
        typer.Option(help=f"What happens after a failure: {', '.join(policy_names())}.", show_default="store"),
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
    from kolossos.cli.simulate_options import scenario_of
    from kolossos.errors import InputError
    from kolossos.simulate.search.objectives import objective_of
    from kolossos.simulate.search.optimise import optimise as search_best
    from kolossos.simulate.search.summary import best_as_dict, search_as_dict

    chosen = objective_of(objective)
    if replicates < 1:
        raise InputError(f"--replicates {replicates}: at least 1")
    settings = {"failures.table": failures, "recovery.policy": policy, "replicates": replicates, "seed": seed}
    scenario = scenario_of(
        model, cluster, json_input, days=days, grow=grow, step_time=step_time, tokens_per_step=tokens_per_step,
        settings=settings, overrides=overrides or [],
    )  # fmt: skip
    search = search_best(scenario, chosen, replicates=replicates, with_policy_keys=True)
    if json:
        from kolossos.simulate.summary import as_json

        typer.echo(as_json({"inputs": scenario.spec.model_dump(mode="json"), **search_as_dict(search)}))
        return
    from kolossos.cli.show.simulation import print_search

    print_search(best_as_dict(search), search)
