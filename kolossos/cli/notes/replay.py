"""``kolossos notes replay``: what markets would have said, and when."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def replay(
    folder: Annotated[Path, typer.Argument(help="Folder with the public tables.")],
    out: Annotated[Path, typer.Option(help="Folder for replay.md, replay.html and replay.json.")],
    train: Annotated[
        Path | None, typer.Option(help="Learn from these tables and test on all of FOLDER; else learn as time goes.")
    ] = None,
    label: Annotated[
        str, typer.Option(help="What is asked: scorer (the core model ends at Helpful) or pilot (the rule of 2021).")
    ] = "scorer",
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Play tables in time order: a market at each note, bots that bet at each rating, nothing known before its time."""
    from kolossos.notes.replay.report import best_bot, judged, markdown, write_report
    from kolossos.notes.replay.run import figures, learn, play

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    panel = learn(train, label) if train else None
    found = figures(play(folder, label, panel=panel, tell=tell))
    paths = write_report(found, out, f"Replay of {folder.resolve().name}")
    if json:
        from json import dumps

        typer.echo(dumps(found, indent=1))
        return
    typer.echo(markdown(found, f"Replay of {folder.resolve().name}").split("\n## ")[0].strip())
    for aim, value, good in judged(found):
        if not good:
            typer.echo(f"short of its aim: {aim}: {value}")
    typer.echo(best_bot(found))
    typer.echo("written: " + ", ".join(str(path) for path in paths))
