"""A run as its command: one command a folder, signals, what is being waited for, and an outcome whatever happens.

Torch is loaded here, and only once nothing else stands in the way. Several processes load it at once: they speak with
each other through it, and one of them holds the folder for all.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kolossos.errors import InputError
from kolossos.parallel.launched import Launched, Seat
from kolossos.runs.lock import only_one
from kolossos.runs.paths import is_run_folder
from kolossos.specs.run import RunSpec
from kolossos.train.lifecycle.data import open_corpus
from kolossos.train.lifecycle.interrupt import Interrupt, StoppedAtOnce
from kolossos.train.lifecycle.outcome import Outcome, finished_outcome, stopped_outcome
from kolossos.train.lifecycle.request import RunRequest
from kolossos.train.waiting import choose_waiting

if TYPE_CHECKING:
    from kolossos.train.checkpoints.ranks import Ranks
    from kolossos.train.recorder import Sample, Watcher

FOLDER_POLL_S = 0.05

Sampler = Callable[[Path, RunSpec], "Sample | None"]


def run_launched(
    launched: Launched,
    request: Callable[[], RunRequest],
    watcher: "Watcher",
    sampler: Sampler = lambda *_: None,
) -> Outcome:
    """What ``request`` asks for, as `run`, by all processes that were ``launched`` together.

    Raises:
        InputError: what ``request`` or `run` raises; on every process, and ``said`` on all but one.
    """
    if (seat := Seat.here()) is not None:
        return _run_in_seat(launched, seat, request, watcher, sampler)
    if launched.world == 1:
        return run(request(), watcher, sampler)
    busy_cores = choose_waiting()  # before torch is loaded
    from kolossos.train.together import agreed, joined

    with joined(launched) as ranks:
        return _run_together(agreed(ranks, request), watcher, sampler, ranks, busy_cores)


def run(wanted: RunRequest, watcher: "Watcher", sampler: Sampler = lambda *_: None) -> Outcome:
    """Begin the run or go on with it, until it ends or a signal ends it; arguments as of `start_run`.

    Raises:
        InputError: another process trains in the folder, or what `start_run` raises.
    """
    existing = wanted.existing
    if existing is not None and (outcome := finished_outcome(existing, wanted.spec)) is not None:
        return outcome
    with Interrupt() as interrupt, ExitStack() as held:
        try:
            _take(wanted, held)
            with suppress(OSError):
                watcher.say("loading torch and the data")
            busy_cores = choose_waiting()  # before torch is loaded
            from kolossos.train.start import start_run

            return start_run(wanted, watcher, sampler, busy_cores=busy_cores, interrupt=interrupt)
        except StoppedAtOnce as stopped:
            return stopped_outcome(wanted.path, stopped.by)


def _run_together(
    wanted: RunRequest, watcher: "Watcher", sampler: Sampler, ranks: "Ranks", busy_cores: float
) -> Outcome:
    """`run` on each of ``ranks``: rank 0 holds the folder, and all hear if it cannot."""
    from kolossos.train.start import start_run
    from kolossos.train.together import agreed

    existing = wanted.existing
    finished = existing and agreed(ranks, lambda: finished_outcome(existing, wanted.spec))
    if outcome := ranks.gather(finished)[0]:
        return outcome
    with Interrupt() as interrupt, ExitStack() as held:
        try:
            agreed(ranks, lambda: _take(wanted, held) if ranks.rank == 0 else None)
            return start_run(wanted, watcher, sampler, busy_cores=busy_cores, ranks=ranks, interrupt=interrupt)
        except StoppedAtOnce as stopped:
            return stopped_outcome(wanted.path, stopped.by)


def _run_in_seat(
    launched: Launched, seat: Seat, request: Callable[[], RunRequest], watcher: "Watcher", sampler: Sampler
) -> Outcome:
    """`run` on each rank of one replica of several that come and go; whoever started them holds the folder."""
    from kolossos.parallel.membership import speaks
    from kolossos.parallel.replicas import anything_left
    from kolossos.train.start import start_run
    from kolossos.train.together import agreed, joined, use_gpu

    use_gpu(launched.local_rank)
    with joined(launched) as ranks, Interrupt() as interrupt:
        wanted = agreed(ranks, request)
        try:
            is_there = ranks.gather(is_run_folder(wanted.path))[0]
            seat = replace(seat, begins=seat.replica == 0 and (seat.life == 0 or not is_there))
            if not seat.begins:  # the one that does chooses what all keep
                _wait_for_folder(wanted.path)
                wanted = agreed(ranks, request)
            outcome = start_run(wanted, watcher, sampler, ranks=ranks, seat=seat, interrupt=interrupt)
            outcome.leaves_threads = anything_left()
            outcome.elsewhere |= outcome.nothing_to_do and seat.replica > 0
            return outcome
        except StoppedAtOnce as stopped:
            return stopped_outcome(wanted.path, stopped.by)
        except InputError as error:
            error.said = error.said or not speaks(seat)
            raise


def _wait_for_folder(path: Path) -> None:
    while not is_run_folder(path):
        time.sleep(FOLDER_POLL_S)


def _take(wanted: RunRequest, held: ExitStack) -> None:
    """Hold the folder, and let it go with ``held``; InputError if it or the data are not to be had."""
    open_corpus(wanted.spec)
    held.enter_context(only_one(wanted.path))
    _require_unchanged(wanted)


def _require_unchanged(wanted: RunRequest) -> None:
    """InputError if another process began a run, or took it away, since the folder was looked at."""
    is_run = wanted.existing is not None or wanted.replace
    if is_run != is_run_folder(wanted.path):
        raise InputError(f"{wanted.path}: another process has changed this folder just now; give the command again")
