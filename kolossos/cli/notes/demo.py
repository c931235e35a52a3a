"""``kolossos notes demo``: a synthetic platform with bots, its report and its page."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to make: tables, ledger and report.")] = Path("notes-demo"),
    port: Annotated[int, typer.Option(help="Of the page, on this machine; 0: any that is free.")] = 8750,
    seed: Annotated[int, typer.Option(help="Another world.")] = 1,
    page: Annotated[bool, typer.Option(help="Serve the page until stopped.")] = True,
) -> None:
    """A world, a replay with its report, a ledger full of bots' trades, and the page on it. Offline, in a minute."""
    from kolossos.notes.replay.report import write_report
    from kolossos.notes.replay.run import figures
    from kolossos.notes.serve.demo import prepare
    from kolossos.notes.serve.run import serve_demo

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    made = prepare(folder, seed, tell)
    paths = write_report(figures(made.played), folder / "report", "A synthetic platform")
    typer.echo(f"report: {paths[1]}")
    if not page:
        made.ledger.close()
        return
    typer.echo(f"operator's key: {made.keys['operator']}")
    typer.echo(f"a guest's key, with 1,000 play credits: {made.keys['guest']}")
    serve_demo(made, port, lambda address: typer.echo(f"page: {address} (Ctrl-C ends)"))
