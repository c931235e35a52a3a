"""``kolossos complete``: continue a text."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def complete(
    run: Annotated[Path, typer.Argument(help="Run folder, or a Hugging Face one.", show_default=False)],
    text: Annotated[list[str], typer.Argument(help="Texts to continue; - reads one from stdin.", show_default=False)],
    *,
    n: Annotated[int, typer.Option("--n", min=1, help="Samples of each text.")] = 1,
    max_tokens: Annotated[int, typer.Option(help="Stop after so many new tokens.")] = 128,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token always.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Choose among the k likeliest tokens.", show_default="all")] = None,
    top_p: Annotated[float, typer.Option(help="Choose among the likeliest tokens with this share.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Leave out tokens below this fraction of the likeliest.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same texts.")] = 0,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text.", show_default=False)] = None,
    step: Annotated[int | None, typer.Option(help="Checkpoint of a run.", show_default="newest")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print tokens, texts and tokens/s as JSON.")] = False,
) -> None:
    """Continue texts with a trained model."""
    from kolossos.train.waiting import choose_waiting

    choose_waiting()
    from kolossos.cli.show.text import for_stream, printable
    from kolossos.serve import complete as completing
    from kolossos.serve.load import load_for_generation
    from kolossos.serve.options import GenerationOptions

    options = GenerationOptions(max_tokens, temperature, top_k, top_p, min_p, seed, tuple(stop or ()))
    prompts = [sys.stdin.buffer.read().decode(errors="replace") if prompt == "-" else prompt for prompt in text]
    model, tokenizer = load_for_generation(run, step, say=lambda line: typer.echo(printable(line), err=True))
    if json or len(prompts) * n > 1:
        made = completing.complete(model, tokenizer, prompts, options, n)
        typer.echo(made.to_json() if json else for_stream(made.to_text(prompts)))
    else:
        completing.stream(model, tokenizer, prompts[0], options, lambda piece: typer.echo(for_stream(piece), nl=False))
        typer.echo()
