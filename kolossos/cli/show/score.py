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
    typer.echo(verdict(score))


def verdict(score: Score) -> str:
    """What the figures say, in words; of a run that beats none of them also how much it has trained."""
    own = score.evaluation.bits_per_byte
    beaten = [name for name, bits in score.compressors.items() if own < bits]
    left = [name for name in score.compressors if name not in beaten]
    if beaten:
        more = f", and more than {' and '.join(left)}" if left else ""
        return f"the model needs fewer bits than {' and '.join(beaten)}{more}"
    text = f"the model needs more bits than {' and '.join(left)}: it has trained too little for that"
    if score.trained is None:
        return text
    speed = score.trained.tokens / score.trained.seconds
    return (
        f"{text}. This machine was too slow for more in the time: {score.trained.tokens:,} tokens in "
        f"{score.trained.seconds / 60:.1f} minutes, {speed:,.0f} tokens/s; with more minutes "
        f"(kolossos train --minutes) it gets there"
    )
