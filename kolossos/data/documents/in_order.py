"""Run one function over many arguments in worker processes and hand the results back in the order of the arguments."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from kolossos.errors import InputError

A = TypeVar("A")
R = TypeVar("R")


def run_in_order(
    function: Callable[[A], R],
    arguments: Iterable[A],
    workers: int,
    *,
    isolate: bool = False,
    described: Callable[[A], str] = str,
) -> Generator[R, None, None]:
    """Results in order; only a few are ahead of the reader at any time. ``workers`` 1 stays in this process.

    When the reader stops or a call fails, what is not yet started is cancelled.

    Args:
        function: what to do with an argument.
        arguments: those that there are.
        workers: processes.
        isolate: use another process even if it is only one, for a call may end its process.
        described: what stands in the message about a call that ended its process.

    Raises:
        InputError: a call ended its process, twice.
    """
    if workers <= 1 and not isolate:
        yield from map(function, arguments)
        return
    remaining = iter(arguments)
    left: deque[A] = deque()  # of a pool that broke: what has to be done once more, each by itself
    with _pool(workers) as pool:
        pending: deque[tuple[A, Future[R]]] = deque()

        def submit(count: int) -> None:
            pending.extend((argument, _submitted(pool, function, argument)) for argument in islice(remaining, count))

        try:
            submit(2 * max(workers, 1))
            while pending:
                result = pending[0][1].result()
                pending.popleft()
                submit(1)
                yield result
        except BrokenProcessPool:
            left.extend(argument for argument, _ in pending)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for argument in left:
        yield _by_itself(function, argument, described)
    if left:
        yield from run_in_order(function, remaining, workers, isolate=isolate, described=described)


def _submitted(pool: ProcessPoolExecutor, function: Callable[[A], R], argument: A) -> Future[R]:
    """The call, failed where the pool has broken: then it is among those to be done once more, and none is lost."""
    try:
        return pool.submit(function, argument)
    except BrokenProcessPool as error:
        failed: Future[R] = Future()
        failed.set_exception(error)
        return failed


def _by_itself(function: Callable[[A], R], argument: A, described: Callable[[A], str]) -> R:
    try:
        with _pool(1) as pool:
            return pool.submit(function, argument).result()
    except BrokenProcessPool as error:
        raise InputError(
            f"{described(argument)}: reading it ended the process that reads (a damaged file does that, or a lack of "
            f"memory); make the file again"
        ) from error


def _pool(workers: int) -> ProcessPoolExecutor:
    # Spawned, not forked: this process may already run threads (progress display, Arrow, tokenizers).
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(max(workers, 1), mp_context=context, initializer=_leave_interrupts_to_parent)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
