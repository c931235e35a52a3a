"""Who may come in: keys, roles by the ledger, rates, and errors in one line."""

import math
import uuid
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from kolossos.errors import InputError
from kolossos.listening import SAFE_HEADERS
from kolossos.notes.ledger.book import Person
from kolossos.notes.ledger.ledger import Conflict
from kolossos.notes.serve.desk import Busy, Desk
from kolossos.notes.serve.keys import KeyRing, RateLimit

LARGEST_BODY = 64 * 1024
OPEN_PATHS = ("/", "/page.js", "/page.css", "/health")


@dataclass
class Gate:
    """What every request passes."""

    desk: Desk
    reading_needs_key: bool
    rate: RateLimit
    keys: KeyRing = field(default_factory=KeyRing)

    async def somebody(self, request: Request) -> Person | None:
        """Whose key the request shows; None without one. HTTPException 401 for a wrong one."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        found = None
        if scheme.lower() == "bearer" and key:
            found = await self.desk.read(lambda book: self.keys.person(book, key.strip()))
        if found is None:
            raise HTTPException(401, "this key is not known here: Authorization: Bearer KEY")
        return found

    async def reader(self, request: Request) -> Person | None:
        """For looking only."""
        person = await self.somebody(request)
        if person is None and self.reading_needs_key:
            raise HTTPException(401, "a key is needed: Authorization: Bearer KEY")
        self._count(request, person)
        return person

    async def actor(self, request: Request) -> Person:
        """For doing something."""
        person = await self.somebody(request)
        if person is None:
            raise HTTPException(401, "a key is needed: Authorization: Bearer KEY")
        self._count(request, person)
        return person

    def _count(self, request: Request, person: Person | None) -> None:
        who = person.name if person else f"@{request.client.host if request.client else ''}"
        wait = self.rate.wait_for(who)
        if wait:
            seconds = str(math.ceil(wait))
            raise HTTPException(429, f"too many requests: again in {seconds} s", headers={"Retry-After": seconds})


async def reader(request: Request) -> Person | None:
    """Who looks; may be nobody."""
    return await request.app.state.gate.reader(request)


async def actor(request: Request) -> Person:
    """Who does something."""
    return await request.app.state.gate.actor(request)


def answer_errors(app: FastAPI) -> None:
    """Every error is one object: {"error": {"message": ...}}; a program's fault shows no inner part."""

    @app.exception_handler(InputError)
    async def unusable(_: Request, error: InputError) -> Response:
        missing = str(error).startswith(("there is no market", "there is no account"))
        return _error(409 if isinstance(error, Conflict) else 404 if missing else 400, str(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return _error(400, f"{where or 'the body'}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(Busy)
    async def busy(_: Request, __: Busy) -> Response:
        return _error(503, "more is waiting than is taken: again in a second", {"Retry-After": "1"})


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    if status == 401:
        headers = {**(headers or {}), "WWW-Authenticate": "Bearer"}
    return JSONResponse({"error": {"message": message[:500]}}, status, headers)


class Bounds:
    """Bodies of at most 64 KiB; a number for each request; headers that keep other sites out of the page."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"]}
        stated = headers.get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > LARGEST_BODY:
            await _error(413, f"a request has at most {LARGEST_BODY:,} bytes")(scope, receive, send)
            return
        came = 0

        async def bounded() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > LARGEST_BODY:
                raise HTTPException(413, f"a request has at most {LARGEST_BODY:,} bytes")
            return message

        number = headers.get(b"x-request-id", b"")[:64] or uuid.uuid4().hex.encode()

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", number), *SAFE_HEADERS]
            await send(message)

        await self.app(scope, bounded, marked)
