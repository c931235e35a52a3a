"""The command `kolossos`: registers the commands, and prints in one line what was wrong with the input.

Nothing heavy is imported here: torch is loaded only inside the commands that need it.
"""

import sys

import typer

from kolossos import __version__
from kolossos.cli import data, notes
from kolossos.cli.calibrate import calibrate
from kolossos.cli.chat import chat
from kolossos.cli.complete import complete
from kolossos.cli.evaluate import evaluate
from kolossos.cli.export import export
from kolossos.cli.ground.ask import ask
from kolossos.cli.ground.check import check
from kolossos.cli.ground.index import index
from kolossos.cli.ground.search import search
from kolossos.cli.hardware import clusters, gpus
from kolossos.cli.jobs.chaos import chaos
from kolossos.cli.jobs.launch import launch
from kolossos.cli.jobs.serve import serve
from kolossos.cli.jobs.trace import trace
from kolossos.cli.models import models
from kolossos.cli.optimise import optimise
from kolossos.cli.plan import plan
from kolossos.cli.race import race
from kolossos.cli.report import report
from kolossos.cli.show.text import leave_at_once, prepare_streams, printable
from kolossos.cli.simulate import simulate
from kolossos.cli.train import train
from kolossos.cli.validate import validate
from kolossos.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Plan, train, run and use a Grok-class language model.",
)
app.add_typer(data.app, name="data")
app.add_typer(notes.app, name="notes")
app.command()(train)
app.command()(launch)
app.command()(chaos)
app.command()(trace)
app.command(name="eval")(evaluate)
app.command()(chat)
app.command()(complete)
app.command()(serve)
app.command()(ask)
app.command()(check)
app.command()(export)
app.command()(index)
app.command(context_settings={"ignore_unknown_options": True})(search)  # -word excludes a word
app.command()(calibrate)
app.command()(models)
app.command()(clusters)
app.command()(gpus)
app.command()(race)
app.command()(report)
app.command()(simulate)
app.command()(optimise)
app.command()(plan)
app.command()(validate)


@app.callback(invoke_without_command=True)
def _front(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: bad input is one line and exit code 2."""
    prepare_streams()
    try:
        app()
    except InputError as error:
        if not error.said:
            print(f"error: {printable(str(error))}", file=sys.stderr, flush=True)
        if error.at_once:
            leave_at_once(2)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
