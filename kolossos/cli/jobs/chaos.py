"""``kolossos chaos``: a run under random faults, against the same run without any."""

import json as json_
import sys
from pathlib import Path
from typing import Annotated

import typer


def chaos(
    run: Annotated[Path, typer.Argument(help="A run file (TOML) with survival.replicas = true.", show_default=False)],
    *,
    folder: Annotated[Path, typer.Option("--run", "--folder", help="Where the two runs go.", show_default=False)],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as schedule.steps=200.", show_default=False)
    ] = None,
    faults: Annotated[int, typer.Option(min=0, help="How many.")] = 20,
    every: Annotated[float, typer.Option(help="Mean seconds from a recovery to the next fault.")] = 3.0,
    kinds: Annotated[
        str | None, typer.Option(help="Only these, by parts of their names, comma-separated.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the faults.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Replace the two runs of an earlier trial.")] = False,
    hosts: Annotated[
        bool, typer.Option("--hosts", help="Each replica in a network namespace of its own (root, Linux).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print every fault as JSON.")] = False,
) -> None:
    """Do random faults to a run on this computer, and compare it with the same run without any.

    A run folder on a small file system of its own (a mount of less than a GiB) gets its disk filled, too. Exit codes:
    0 all values and the last weights are those of the unbroken run; 1 they are not, or the run ended otherwise.
    """
    from kolossos.chaos.command import run_chaos
    from kolossos.cli.show.chaos import show_chaos

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    outcome = run_chaos(
        run, overrides or [], folder, faults, every, kinds=kinds, seed=seed, fresh=fresh, on_hosts=hosts, say=say
    )
    if json:
        print(json_.dumps(outcome.as_json(), indent=1))
    else:
        show_chaos(outcome)
    sys.exit(0 if outcome.is_equal else 1)
