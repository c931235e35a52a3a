"""Between the event loop and the engine's thread: requests go over, events come back, in batches.

An answer that nobody hears any more is cancelled: `Asked` cancels what has not ended when it is closed.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType

from kolossos.serve.engine.request import Busy, Ended, Engine, Event, Request, Stopped, Token, TooLong
from kolossos.serve.http.metrics import Meters
from kolossos.serve.http.wire.refusals import Refusal, invalid, shutting_down

AGAIN_S = 0.05
"""Between tries to hand over the rest of a request whose first answers were taken, where none of them runs now."""


class Line:
    """What connects one event loop with one engine."""

    def __init__(self, engine: Engine, meters: Meters) -> None:
        self.engine, self.meters = engine, meters
        self._came: deque[tuple[Asked, int, Event]] = deque()
        self._woken = False

    def ask(self, requests: Sequence[Request], param: str = "prompt") -> "Asked":
        """Hand ``requests`` to the engine: the first one now, the others as soon as it takes them.

        Raises:
            Refusal: 429 if the first is not taken now, 503 if none is taken any more, 400 if it is too long.
        """
        return Asked(self, requests, param)

    def hear(self, asked: "Asked", index: int, loop: asyncio.AbstractEventLoop, event: Event) -> None:
        """In the engine's thread: keep the event, and wake the loop unless it has been woken already."""
        self._came.append((asked, index, event))
        if not self._woken:
            self._woken = True
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop has ended, so nobody waits
                self._woken = False

    def _deliver(self) -> None:
        self._woken = False  # first: what comes from here on wakes the loop again
        while self._came:
            asked, index, event = self._came.popleft()
            asked.put(index, event)


class Asked:
    """The events of some requests as they come, each with the request's index. Use it in a ``with``."""

    def __init__(self, line: Line, requests: Sequence[Request], param: str) -> None:
        self._line, self._param = line, param
        self._loop = asyncio.get_running_loop()
        self._waiting = deque(enumerate(requests))
        self._numbers: dict[int, int] = {}
        self._begun: dict[int, float] = {}
        self._inbox: list[tuple[int, Event]] = []
        self._some = asyncio.Event()
        try:
            self._hand_over()
        except Busy as busy:
            seconds = max(1, round(busy.after))
            raise Refusal(429, str(busy), code="rate_limit_exceeded", headers={"Retry-After": str(seconds)}) from None
        self._hand_over_more()

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._waiting.clear()
        for index in list(self._numbers):
            self.drop(index)

    def put(self, index: int, event: Event) -> None:
        """An event has come."""
        if index not in self._numbers:  # dropped before
            return
        now = time.monotonic()
        if isinstance(event, Token) and index in self._begun:
            self._line.meters.first_token(now - self._begun.pop(index))
        if isinstance(event, Ended):
            del self._numbers[index]
            self._line.meters.ended(event.reason)
        self._inbox.append((index, event))
        self._some.set()

    def drop(self, index: int) -> None:
        """No more of this answer is wanted."""
        number = self._numbers.pop(index, None)
        if number is not None:
            self._line.engine.cancel(number)
            self._line.meters.ended("dropped")

    async def batches(self) -> AsyncIterator[list[tuple[int, Event]]]:
        """What came, until every answer has ended or been dropped."""
        while self._numbers or self._waiting or self._inbox:
            if not self._inbox:
                self._some.clear()
                if self._numbers:
                    await self._some.wait()
                elif self._waiting:
                    await asyncio.sleep(AGAIN_S)
            came, self._inbox = self._inbox, []
            if came:
                yield came
            self._hand_over_more()

    def _hand_over_more(self) -> None:
        while self._waiting:
            try:
                self._hand_over()
            except Busy:
                return

    def _hand_over(self) -> None:
        index, request = self._waiting[0]
        self._numbers[index] = -1  # so that what is heard at once is kept
        self._begun[index] = time.monotonic()
        try:
            number = self._line.engine.submit(request, lambda event: self._line.hear(self, index, self._loop, event))
        except BaseException as error:
            del self._numbers[index]
            if isinstance(error, TooLong):
                self.__exit__(None, None, None)
                raise invalid(self._param, str(error), "context_length_exceeded") from None
            if isinstance(error, Stopped):
                self.__exit__(None, None, None)
                raise shutting_down() from None
            raise
        self._waiting.popleft()
        self._numbers[index] = number
