"""``kolossos notes``: Community Notes, scored, explained, and bet on."""

import typer

from kolossos.cli.notes.audit import audit
from kolossos.cli.notes.bot import bot
from kolossos.cli.notes.demo import demo
from kolossos.cli.notes.explain import explain
from kolossos.cli.notes.generate import generate
from kolossos.cli.notes.parity import parity
from kolossos.cli.notes.read import read
from kolossos.cli.notes.replay import replay
from kolossos.cli.notes.score import score
from kolossos.cli.notes.serve import serve
from kolossos.cli.notes.settle import settle
from kolossos.cli.notes.verify import verify

app = typer.Typer(no_args_is_help=True, help="Community Notes: read, score, explain; markets on what will be helpful.")
app.command()(read)
app.command()(generate)
app.command()(score)
app.command()(explain)
app.command()(parity)
app.command()(replay)
app.command()(demo)
app.command()(serve)
app.command()(bot)
app.command()(settle)
app.command()(audit)
app.command()(verify)
