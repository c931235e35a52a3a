"""Run one function over many arguments in worker processes and hand the results back in the order of the arguments."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


def run_in_order(function: Callable[[A], R], arguments: Iterable[A], workers: int) -> Generator[R, None, None]:
    """Results in order; only a few are ahead of the reader at any time. ``workers`` 1 stays in this process.

    When the reader stops or a call fails, what is not yet started is cancelled.
    """
    if workers == 1:
        yield from map(function, arguments)
        return
    # Spawned, not forked: this process may already run threads (progress display, Arrow, tokenizers).
    context = multiprocessing.get_context("spawn")
    remaining = iter(arguments)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_parent) as pool:
        pending: deque[Future[R]] = deque(pool.submit(function, a) for a in islice(remaining, 2 * workers))
        try:
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, a) for a in islice(remaining, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
