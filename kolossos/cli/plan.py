"""``kolossos plan``: the best layout for a model on a cluster, and what it takes."""

from pathlib import Path
from typing import Annotated

import typer


def plan(
    model: Annotated[str, typer.Argument(help="A model: a name of the catalogue, a TOML file or a config.json.")],
    cluster: Annotated[str, typer.Option(help="A cluster: a name of the catalogue, or a TOML file.")],
    tokens: Annotated[float, typer.Option(help="Tokens to train on.")] = 1e12,
    gpus: Annotated[
        int | None, typer.Option(help="Use at most so many GPUs.", show_default="all of the cluster")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Price this layout: tp=8,pp=4,... Without it, search.", show_default=False),
    ] = None,
    seq_len: Annotated[int | None, typer.Option(help="Tokens of a sequence.", show_default="up to 8192")] = None,
    global_batch: Annotated[int | None, typer.Option(help="Sequences of a step, exactly.", show_default=False)] = None,
    global_batch_tokens: Annotated[
        float | None,
        typer.Option(help="Tokens of a step, give or take 10 %.", show_default="as published for models of the size"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="bf16, fp8, mxfp8 or nvfp4.", show_default="the fastest but nvfp4")
    ] = None,
    objective: Annotated[str, typer.Option(help="time, cost or energy: what to make small.")] = "time",
    software: Annotated[
        str | None, typer.Option(help="Generation of training software.", show_default="a current Megatron")
    ] = None,
    any_schedule: Annotated[
        bool, typer.Option("--any-schedule", help="Search schedules, too, that the software does not have.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="Say what decides, and what the next euro should buy.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a picture (.png, .svg, .pdf).", show_default=False)] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Write one step as a Chrome/Perfetto trace.", show_default=False)
    ] = None,
    export: Annotated[
        str | None, typer.Option(help="Write the layout for kolossos, megatron or torchtitan.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of --export.", show_default=False)] = None,
) -> None:
    """Predict a training step on a cluster, and find the best layout for it: no GPU needed."""
    asked = locals()
    from kolossos.cli.planning import Request, run_plan

    run_plan(Request(**asked))
