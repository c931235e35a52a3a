"""The routes: ask, check, search, the page."""

import json
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictStr
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kolossos.errors import InputError
from kolossos.ground.answer.ask import LONGEST_QUESTION
from kolossos.ground.serve.desk import Busy, Desk
from kolossos.listening import SAFE_HEADERS, is_loopback

PAGE = Path(__file__).parent / "page"
LARGEST_BODY = 256 * 1024  # bytes
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Asked(BaseModel):
    """A question."""

    model_config = ConfigDict(extra="forbid")
    question: Annotated[StrictStr, Field(max_length=LONGEST_QUESTION)]


class Checked(BaseModel):
    """A text to check."""

    model_config = ConfigDict(extra="forbid")
    text: Annotated[StrictStr, Field(max_length=50_000)]


def make_app(desk: Desk) -> FastAPI:
    """The application on a desk."""
    app = FastAPI(title="Kolossos ground", docs_url=None, redoc_url=None, default_response_class=Carried)
    _errors(app)
    for path, (name, kind) in FILES.items():
        _file(app, path, name, kind)

    @app.get("/v1/about")
    def about() -> dict[str, Any]:
        return desk.about()

    @app.post("/v1/ask")
    def ask(body: Asked) -> dict[str, Any]:
        return desk.ask(body.question)

    @app.post("/v1/check")
    def check(body: Checked) -> dict[str, Any]:
        return desk.check(body.text)

    @app.get("/v1/search")
    def search(
        q: Annotated[str, Query(max_length=LONGEST_QUESTION)], count: Annotated[int, Query(ge=1, le=100)] = 10
    ) -> dict[str, Any]:
        return desk.search(q, count)

    app.add_middleware(Bounds)
    return app


class Carried(JSONResponse):
    """JSON that carries any text, lone surrogates too: as escapes where UTF-8 has no bytes for them."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def _file(app: FastAPI, path: str, name: str, kind: str) -> None:
    @app.get(path, include_in_schema=False, name=name)
    async def send() -> FileResponse:
        return FileResponse(PAGE / name, media_type=kind, headers={"Cache-Control": "no-cache"})


def _errors(app: FastAPI) -> None:
    """Every error is one object: {"error": {"message": ...}}."""

    @app.exception_handler(InputError)
    async def unusable(_: Request, error: InputError) -> Response:
        return _error(400, str(error))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
        return _error(400, f"{where or 'the body'}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return _error(error.status_code, str(error.detail))

    @app.exception_handler(Busy)
    async def busy(_: Request, __: Busy) -> Response:
        return _error(503, "more is waiting than is taken: again in a few seconds")


def _error(status: int, message: str) -> Response:
    return Carried({"error": {"message": message[:500]}}, status)


class Bounds:
    """Only for this machine by a name of it, a body of at most LARGEST_BODY, and headers that keep other sites out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(headers, scope["method"])
        if refusal is not None:
            await refusal(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *SAFE_HEADERS]
            await send(message)

        await self.app(scope, receive, marked)

    @staticmethod
    def _refusal(headers: dict[bytes, bytes], method: str) -> Response | None:
        host = headers.get(b"host", b"").decode("latin-1")
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        if not is_loopback(name):  # a page elsewhere may have made its own name mean this machine
            return _error(403, "this Host is not served here: only localhost, 127.0.0.1 and [::1]")
        length = headers.get(b"content-length", b"")
        if method == "POST" and not length.isdigit():
            return _error(411, "a request states its Content-Length")
        if length.isdigit() and int(length) > LARGEST_BODY:
            return _error(413, f"a request has at most {LARGEST_BODY:,} bytes")
        return None
