"""``kolossos trace``: what one rank of a run does in one step, without its hardware."""

import json as json_
import sys
from pathlib import Path
from typing import Annotated

import typer


def trace(
    run: Annotated[Path, typer.Argument(help="A run file (TOML), such as plan --export kolossos writes.")],
    *,
    gpus: Annotated[
        int | None, typer.Option(help="So many ranks, by more replicas.", show_default="those of the layout")
    ] = None,
    rank: Annotated[int, typer.Option(help="Which of them.")] = 0,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as layout.tp=8.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Run the real training step of one rank without data and hardware: FLOPs, bytes sent, bytes of memory."""
    from kolossos.cli.show.trace import show_trace
    from kolossos.specs.run import load_run
    from kolossos.trace.answer import trace

    def said(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    answer = trace(load_run(run, overrides), rank, gpus, said)
    if json:
        print(json_.dumps(answer.record(), indent=1))
    else:
        show_trace(answer)
