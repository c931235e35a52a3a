"""``kolossos simulate``: months of a run, and what it will really deliver."""

from pathlib import Path
from typing import Annotated

import typer

from kolossos.simulate.policies import policy_names


def simulate(
    model: Annotated[
        str | None, typer.Argument(help="A model of the catalogue, or a TOML file.", show_default=False)
    ] = None,
    *,
    cluster: Annotated[str, typer.Option(help="A cluster of the catalogue, or a TOML file.")] = "colossus-100k",
    days: Annotated[float | None, typer.Option(help="Length of the run.", show_default="90")] = None,
    tokens: Annotated[
        float | None, typer.Option(help="Tokens to reach: how many days it takes.", show_default=False)
    ] = None,
    grow: Annotated[
        str | None, typer.Option(help="GPUs that come later: 50000xh100@day60,50000xh200@day90.", show_default=False)
    ] = None,
    step_time: Annotated[
        float | None, typer.Option(help="Seconds of a step.", show_default="the planner's best layout")
    ] = None,
    tokens_per_step: Annotated[
        float | None, typer.Option(help="With --step-time: tokens of a step.", show_default="16,777,216")
    ] = None,
    failures: Annotated[
        str | None, typer.Option(help="Failure table, or a TOML file of your own.", show_default="llama3-2024")
    ] = None,
    spares: Annotated[
        int | None, typer.Option(help="Hot spare nodes, out of the cluster.", show_default="found by search")
    ] = None,
    checkpoint_interval: Annotated[
        str | None, typer.Option(help="Seconds, or auto.", show_default="found by search")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help=f"What happens after a failure: {', '.join(policy_names())}.", show_default="store"),
    ] = None,
    replicates: Annotated[int | None, typer.Option(help="Runs to play.", show_default="200")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same bytes.", show_default="0")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as recovery.restart_s=300.", show_default=False)
    ] = None,
    json_input: Annotated[
        Path | None,
        typer.Option(help="Every parameter from a JSON or TOML file, instead of MODEL.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder for the plots.", show_default=False)] = None,
) -> None:
    """Play a whole run many times, with failures, checkpoints, spares, growth, power and cost."""
    from kolossos.cli.options import value_of
    from kolossos.cli.simulate_options import interval_setting, scenario_of
    from kolossos.simulate.answer import answer

    settings = {
        "failures.table": failures,
        "recovery.spare_nodes": spares,
        "recovery.policy": policy,
        "checkpoint.interval_s": interval_setting(checkpoint_interval),
        "replicates": replicates,
        "seed": seed,
        "tokens": tokens,
    }
    scenario = scenario_of(
        model, cluster, json_input, days=days, grow=grow, step_time=step_time, tokens_per_step=tokens_per_step,
        settings=settings, overrides=overrides or [],
    )  # fmt: skip
    found = answer(scenario, search=spares is None and json_input is None)
    if json:
        from kolossos.simulate.summary import as_json

        inputs = found.outcome.scenario.spec.model_dump(mode="json")
        typer.echo(as_json({"inputs": inputs, **found.figures}))
    else:
        from kolossos.cli.show.simulation import print_run

        print_run(found.figures)
    if plots is not None:
        from kolossos.simulate.plots.write import write_plots

        with value_of("--plots"):
            written = write_plots(found.outcome, found.search, plots)
        for path in written:
            typer.echo(f"wrote {path}", err=True)
