"""Between many requests and one ledger: what waits is done together, in the order it came, and told to who listens."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from kolossos.notes.ledger.book import Book
from kolossos.notes.ledger.ledger import Ask, Ledger

MOST_WAITING = 5_000
MOST_AT_ONCE = 500
LISTENER_QUEUE = 1_000


class Busy(Exception):
    """More is waiting than is taken; try again a little later."""


class Desk:
    """One thread that writes; requests wait for their batch. Coroutines belong to an event loop, the rest to anyone."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._waiting: queue.Queue[tuple[Ask, Future] | None] = queue.Queue(MOST_WAITING)
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Queue]] = set()
        self._told = 0  # the last event that listeners know
        self._lock, self._door = threading.Lock(), threading.Lock()  # who tells; who comes and goes
        with ledger.reading() as book:
            self._told = book.seq
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    def put(self, ask: Ask) -> Future:
        """Let an ask wait for the next batch; the future gives its event or its InputError. Busy: too many wait."""
        future: Future = Future()
        try:
            self._waiting.put_nowait((ask, future))
        except queue.Full:
            raise Busy from None
        return future

    async def do(self, operation: str, key: str | None = None, **values: Any) -> dict:
        """What `Ledger.one` does, for an event loop."""
        return await asyncio.wrap_future(self.put(Ask(operation, values, key)))

    def call(self, operation: str, key: str | None = None, **values: Any) -> dict:
        """What `Ledger.one` does, in the order of everybody's asks."""
        return self.put(Ask(operation, values, key)).result()

    async def read(self, look: Callable[[Book], Any]) -> Any:
        """What ``look`` makes of the book, in a thread, so that a large batch does not stop the event loop."""

        def looked() -> Any:
            with self.ledger.reading() as book:
                return look(book)

        return await asyncio.to_thread(looked)

    def _write(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < MOST_AT_ONCE:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    self._waiting.put(None)
                    break
                batch.append(more)
            batch = [(ask, future) for ask, future in batch if future.set_running_or_notify_cancel()]
            try:
                answers: list[Any] = self.ledger.submit([ask for ask, _ in batch])
            except BaseException as fault:  # nothing of the batch has happened
                answers = [fault] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if isinstance(answer, BaseException):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
            self.tell()

    def tell(self) -> None:
        """Tell the listeners what they do not know yet, of whichever process."""
        with self._lock:
            while (listeners := self._who()) and (events := self.ledger.events(self._told, 500)):
                self._told = events[-1]["seq"]
                for loop, waiting in listeners:
                    loop.call_soon_threadsafe(_offer, waiting, events)
            if not listeners:
                with self.ledger.reading() as book:
                    self._told = book.seq

    @contextmanager
    def _listening(self) -> Any:
        entry = (asyncio.get_running_loop(), asyncio.Queue(LISTENER_QUEUE))
        self.tell()
        with self._door:
            self._listeners.add(entry)
        try:
            yield entry[1]
        finally:
            with self._door:
                self._listeners.discard(entry)

    def _who(self) -> list:
        with self._door:
            return list(self._listeners)

    async def stream(self, after: int | None = None) -> AsyncIterator[dict | None]:
        """Events as they happen, from event ``after + 1`` on where that is stated; None every 15 s without one. A
        listener that does not keep up is let go: it comes back with the last number that it has seen."""
        with self._listening() as waiting:
            last = after
            while last is not None and (events := await asyncio.to_thread(self.ledger.events, last, 500)):
                for event in events:
                    last = event["seq"]
                    yield event
            while True:
                try:
                    event = await asyncio.wait_for(waiting.get(), 15)
                except TimeoutError:
                    yield None
                    continue
                if event is None:
                    return
                if last is None or event["seq"] > last:
                    last = event["seq"]
                    yield event

    def close(self) -> None:
        """Do what waits, then let the ledger go."""
        self._waiting.put(None)
        self._thread.join(60)
        for loop, waiting in self._who():
            loop.call_soon_threadsafe(_offer, waiting, [None])
        self.ledger.close()


def _offer(waiting: asyncio.Queue, events: list) -> None:
    for event in events:
        if waiting.full():  # the listener does not keep up: its stream ends
            while not waiting.empty():
                waiting.get_nowait()
            waiting.put_nowait(None)
            return
        waiting.put_nowait(event)
