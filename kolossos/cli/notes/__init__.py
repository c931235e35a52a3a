"""``kolossos notes``: Community Notes, scored and explained."""

import typer

from kolossos.cli.notes.explain import explain
from kolossos.cli.notes.generate import generate
from kolossos.cli.notes.parity import parity
from kolossos.cli.notes.read import read
from kolossos.cli.notes.score import score

app = typer.Typer(no_args_is_help=True, help="Community Notes: read, score and explain.")
app.command()(read)
app.command()(generate)
app.command()(score)
app.command()(explain)
app.command()(parity)
