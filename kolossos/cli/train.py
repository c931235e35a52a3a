"""``kolossos train``: start a run, or go on with one."""

from pathlib import Path
from typing import Annotated

import typer


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
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin again: replace a run that is in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train a model. Interrupted or killed, the same command goes on where the last checkpoint stands.

    On several processes: torchrun --nproc-per-node 4 -m kolossos -- train RUN.toml --run DIR
    """
    from kolossos.errors import InputError
    from kolossos.parallel.launched import Launched
    from kolossos.train.request import RunRequest, request_run
    from kolossos.train.waiting import choose_waiting

    launched = Launched.here()

    def request() -> RunRequest:
        if minutes is not None and minutes <= 0:
            raise InputError(f"--minutes {minutes}: expected a number above 0")
        return request_run(run, overrides or [], folder=folder, minutes=minutes, fresh=fresh, processes=launched.world)

    wanted = request() if launched.world == 1 else None  # alone, mistakes are said before torch is loaded
    busy_cores = choose_waiting()  # before torch is loaded
    from kolossos.cli.show.training import TrainingDisplay, show_outcome
    from kolossos.serve.sample import text_sampler
    from kolossos.train.start import start_run
    from kolossos.train.together import agreed, joined

    with joined(launched) as ranks:
        wanted = wanted or agreed(ranks, request)
        with TrainingDisplay() as display:
            outcome = start_run(wanted, display, text_sampler, busy_cores=busy_cores, ranks=ranks)
        if ranks.rank == 0:
            show_outcome(outcome, json)
