"""``kolossos chat``: talk with a model."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def chat(
    run: Annotated[Path, typer.Argument(help="Run folder, or a Hugging Face one.", show_default=False)],
    *,
    system: Annotated[str, typer.Option(help="What the model is told before the first turn.", show_default=False)] = "",
    max_tokens: Annotated[int, typer.Option(help="Longest answer, in tokens.")] = 256,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token always.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Choose among the k likeliest tokens.", show_default="all")] = None,
    top_p: Annotated[float, typer.Option(help="Choose among the likeliest tokens with this share.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Leave out tokens below this fraction of the likeliest.")] = 0.05,
    seed: Annotated[int, typer.Option(help="The same seed gives the same answers.")] = 0,
    step: Annotated[int | None, typer.Option(help="Checkpoint of a run.", show_default="newest")] = None,
) -> None:
    """Talk with a trained model; without a terminal: a prompt a line from stdin, answers to stdout."""
    from kolossos.train.waiting import choose_waiting

    choose_waiting()
    from kolossos.cli.show.text import for_stream, printable
    from kolossos.serve import terminal
    from kolossos.serve.chat import Chat
    from kolossos.serve.load import little_training, load_for_generation, trained_on_chats
    from kolossos.serve.options import GenerationOptions

    options = GenerationOptions(max_tokens, temperature, top_k, top_p, min_p, seed)
    model, tokenizer = load_for_generation(run, step, say=lambda line: typer.echo(printable(line), err=True))
    session = Chat(model, tokenizer, options, trained_on_chats(run, tokenizer), system)
    if warning := little_training(run, step):
        typer.echo(warning, err=True)
    if sys.stdin.isatty():
        terminal.chat_in_terminal(session, printable(run.name), printable)
        return
    if not session.transcript.chat:
        typer.echo(terminal.BASE_MODEL, err=True)
    lines = (line.decode(errors="replace") for line in sys.stdin.buffer)
    terminal.chat_by_lines(session, lines, lambda piece: typer.echo(for_stream(piece), nl=False))
