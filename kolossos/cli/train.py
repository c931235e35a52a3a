"""``kolossos train``: start a run, or go on with one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kolossos.cli.show.text import leave_at_once

if TYPE_CHECKING:
    from kolossos.specs.run import RunSpec
    from kolossos.train.recorder import Sample


def train(
    run: Annotated[Path, typer.Argument(help="A run file (TOML), or a run folder to go on with.", show_default=False)],
    *,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, such as optimizer.lr=0.001.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--run", "--folder", help="Run folder (torchrun knows --folder alone).", show_default="runs/NAME"),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Choose schedule.steps so that training takes about this long here.", show_default=False),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Begin with the weights of this folder: of a run, or in Hugging Face's layout."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again: replace a run that is in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train a model. Interrupted or killed, the same command goes on where the last checkpoint stands.

    On several processes: torchrun --nproc-per-node 4 -m kolossos -- train RUN.toml --run DIR

    Exit codes: 0 finished; 2 refused, or stopped by an error that one line names; 75 stopped by a signal (Ctrl-C, TERM,
    HUP, USR1) and saved, the same command goes on; 128 + signal where the signal came twice, or before the first step:
    ended at once, without saving.
    """
    from kolossos.cli.show.training import TrainingDisplay, exit_code, show_outcome
    from kolossos.errors import InputError
    from kolossos.parallel.launched import Launched, Seat
    from kolossos.train.lifecycle.request import RunRequest, request_run
    from kolossos.train.run import run_launched

    launched, seat = Launched.here(), Seat.here()
    processes = launched.world * (seat.replicas if seat else 1)

    def request() -> RunRequest:
        if minutes is not None and minutes <= 0:
            raise InputError(f"--minutes {minutes}: expected a number above 0")
        values = [*(overrides or []), *([] if init is None else [f"init='{init}'"])]
        return request_run(run, values, folder=folder, minutes=minutes, fresh=fresh, processes=processes)

    with TrainingDisplay() as display:
        outcome = run_launched(launched, request, display, _sampler)
    if launched.rank == 0 and not outcome.elsewhere:
        show_outcome(outcome, json)
    _leave(exit_code(outcome), at_once=outcome.at_once or outcome.leaves_threads)


def _leave(code: int, *, at_once: bool) -> None:
    """End the command with ``code`` if it is not 0; ``at_once``: wait for no thread, such as one that writes."""
    if at_once:
        leave_at_once(code)
    if code:
        raise typer.Exit(code)


def _sampler(tokenizer: Path, spec: "RunSpec") -> "Sample | None":
    from kolossos.serve.sample import text_sampler

    return text_sampler(tokenizer, spec)
