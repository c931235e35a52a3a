"""``kolossos eval``: validation loss and bits per byte of a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    model: Annotated[Path, typer.Argument(help="A run folder, or a Hugging Face style folder.", show_default=False)],
    *,
    data: Annotated[Path | None, typer.Option(help="Prepared data.", show_default="the run's own")] = None,
    step: Annotated[int | None, typer.Option(help="Checkpoint.", show_default="newest good one")] = None,
    seq_len: Annotated[int | None, typer.Option(help="Window in tokens.", show_default="the run's, or 1024")] = None,
    batch_size: Annotated[int, typer.Option(help="Sequences at a time.")] = 8,
    precision: Annotated[str, typer.Option(help="bf16, fp32, or auto: the faster.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score held-out documents: mean loss a token and bits per byte, beside gzip and xz on the same bytes."""
    from kolossos.errors import InputError
    from kolossos.train.layouts import PRECISIONS
    from kolossos.train.waiting import choose_waiting

    if precision not in PRECISIONS:
        raise InputError(f"--precision {precision}: expected {', '.join(PRECISIONS)}")
    choose_waiting()
    from kolossos.cli.show.score import scoring_progress, show_score
    from kolossos.serve.score import score

    with scoring_progress() as progress:
        result = score(
            model,
            data=data,
            step=step,
            seq_len=seq_len,
            batch_size=batch_size,
            precision=precision,
            progress=progress,
        )
    show_score(result, json)
