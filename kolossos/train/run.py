"""A run as its command: one process a folder, signals, what is being waited for, and an outcome whatever happens.

Torch is loaded here, and only once nothing else stands in the way.
"""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kolossos.errors import InputError
from kolossos.runs.lock import only_one
from kolossos.runs.paths import is_run_folder
from kolossos.specs.run import RunSpec
from kolossos.train.interrupt import Interrupt, StoppedAtOnce
from kolossos.train.outcome import Outcome, finished_outcome, stopped_outcome
from kolossos.train.request import RunRequest
from kolossos.train.run_data import open_corpus
from kolossos.train.waiting import choose_waiting

if TYPE_CHECKING:
    from kolossos.train.recorder import Sample, Watcher


def run(
    wanted: RunRequest,
    watcher: "Watcher",
    sampler: "Callable[[Path, RunSpec], Sample | None]" = lambda *_: None,
    *,
    is_writer: bool = True,
) -> Outcome:
    """Begin the run or go on with it, until it ends or a signal ends it; arguments as of `start_run`.

    Raises:
        InputError: another process trains in the folder, or what `start_run` raises.
    """
    existing = wanted.existing
    if existing is not None and (outcome := finished_outcome(existing, wanted.spec)) is not None:
        return outcome
    with Interrupt() as interrupt:
        try:
            open_corpus(wanted.spec)
            with only_one(wanted.path) if is_writer else nullcontext():
                _require_unchanged(wanted)
                if is_writer:
                    with suppress(OSError):
                        watcher.say("loading torch and the data")
                busy_cores = choose_waiting()  # before torch is loaded
                from kolossos.train.start import start_run

                return start_run(
                    wanted, watcher, sampler, busy_cores=busy_cores, is_writer=is_writer, interrupt=interrupt
                )
        except StoppedAtOnce as stopped:
            return stopped_outcome(wanted.path, stopped.by)


def _require_unchanged(wanted: RunRequest) -> None:
    """InputError if another process began a run, or took it away, since the folder was looked at."""
    is_run = wanted.existing is not None or wanted.replace
    if is_run != is_run_folder(wanted.path):
        raise InputError(f"{wanted.path}: another process has changed this folder just now; give the command again")
