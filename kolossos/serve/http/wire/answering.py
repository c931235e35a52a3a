"""Sending an answer while watching whether anybody still listens.

Starlette looks for a client that has gone only while it sends; here the work is cancelled at once, streamed or not, and
with it the engine's. Until the first piece is there a fault is still a status of its own; after it, a last event.
"""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from kolossos.serve.http.wire.refusals import Refusal, failed

LOG = logging.getLogger("kolossos.serve")
DONE = "data: [DONE]\n\n"


def encoded(value: Any) -> str:
    """``value`` as JSON, on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def data(value: Any) -> str:
    """``value`` as one event of a stream."""
    return f"data: {encoded(value)}\n\n"


def error_event(refusal: Refusal) -> str:
    """The last event of a stream that fails."""
    return data(refusal.body())


class _Watched(Response, ABC):
    """Work that ends as soon as the client has gone."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.ensure_future(self._work(scope, receive, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    @abstractmethod
    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Whole(_Watched):
    """An answer that is sent when it is complete."""

    def __init__(self, make: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        super().__init__()
        self._make = make

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response: Response = JSONResponse(await self._make())
        except Refusal as refusal:
            response = refusal.answer()
        await response(scope, receive, send)


class Stream(_Watched):
    """Server-sent events. ``events``: each one or more of them, as text; ``error``: how a fault is told in them."""

    def __init__(self, events: AsyncGenerator[str, None], error: Callable[[Refusal], str] = error_event) -> None:
        super().__init__()
        self._events, self._error = events, error

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events) as events:
            try:
                first = await anext(events)
            except Refusal as refusal:
                await refusal.answer()(scope, receive, send)
                return
            kind, cache = (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")
            await send({"type": "http.response.start", "status": 200, "headers": [kind, cache]})
            await _send(send, first)
            try:
                async for event in events:
                    await _send(send, event)
            except Refusal as refusal:
                await _send(send, self._error(refusal))
            except Exception:
                LOG.exception("a stream failed")
                await _send(send, self._error(failed("an error inside the server")))
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send(send: Send, event: str) -> None:
    await send({"type": "http.response.body", "body": event.encode(), "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
