"""``kolossos notes generate``: a synthetic world in the form of the public tables."""

from pathlib import Path
from typing import Annotated

import typer


def generate(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it may not hold tables yet.")],
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 1,
    notes: Annotated[int, typer.Option(help="How many notes are written.")] = 400,
    raters: Annotated[int, typer.Option(help="How many people rate.")] = 300,
    ratings: Annotated[int, typer.Option(help="About how many ratings they give.")] = 10_000,
    days: Annotated[int, typer.Option(help="Over how many days.")] = 60,
    json: Annotated[bool, typer.Option("--json", help="Print the rows of each table as JSON.")] = False,
) -> None:
    """Write a world of two camps, with spam, rings, deleted notes and other dirt, calibrated on real rater factors."""
    from kolossos.errors import InputError

    for name, value, low in (("seed", seed, 0), ("notes", notes, 1), ("raters", raters, 2), ("days", days, 1)):
        if value < low:
            raise InputError(f"--{name} {value}: expected {low} or more")
    if ratings < 1:
        raise InputError(f"--ratings {ratings}: expected 1 or more")
    from kolossos.notes.tables.generate import Size, generate_world, write_world

    rows = write_world(generate_world(Size(notes, raters, ratings, days), seed), folder)
    if json:
        from json import dumps

        typer.echo(dumps(rows, indent=1))
    else:
        typer.echo(f"{folder}: " + ", ".join(f"{name} {count:,} rows" for name, count in rows.items()))
