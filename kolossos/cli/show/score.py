"""How `kolossos eval` shows its progress and its figures."""

import json as json_format
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import Progress

from kolossos.runs.events import finite_or_null
from kolossos.serve.score import Score


@contextmanager
def scoring_progress() -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr from the first news on; what it gives takes the tokens scored so far, and all of them."""
    progress = Progress(console=Console(stderr=True), transient=True)
    task = progress.add_task("validate", total=None)

    def show(tokens: int, total: int) -> None:
        progress.start()
        progress.update(task, completed=tokens, total=total)

    try:
        yield show
    finally:
        if progress.live.is_started:
            progress.stop()


def show_score(score: Score, json: bool) -> None:
    """Print the figures."""
    result, compressors = score.evaluation, score.compressors
    if json:
        values = {"validation_loss": result.loss, "bits_per_byte": result.bits_per_byte, "tokens": result.tokens}
        values = {**finite_or_null(values), "bytes": result.n_bytes, "compressors_bits_per_byte": compressors}
        typer.echo(json_format.dumps(values, allow_nan=False))
        return
    typer.echo(f"{result.loss:.4f} nats/token on {result.tokens:,} held-out tokens ({result.n_bytes:,} bytes)")
    typer.echo(f"{result.bits_per_byte:.3f} bits/byte")
    for name, bits in compressors.items():
        typer.echo(f"{bits:.3f} bits/byte: {name} on the same bytes")
