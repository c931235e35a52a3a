"""The application: which path is answered by what."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, Response

from kolossos import __version__
from kolossos.serve.engine.request import Engine
from kolossos.serve.http.gate import ALIVE, Gate
from kolossos.serve.http.prompt.served import Options, Served
from kolossos.serve.http.routes import health, tokens
from kolossos.serve.http.routes.chat import chat
from kolossos.serve.http.routes.completions import complete
from kolossos.serve.http.routes.embeddings import embed
from kolossos.serve.http.routes.responses import respond
from kolossos.serve.http.service import Service
from kolossos.serve.http.wire import bodies
from kolossos.serve.http.wire.reading import read_body
from kolossos.serve.http.wire.refusals import Refusal

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
Body = TypeVar("Body", bound=BaseModel)


def make_app(engine: Engine, served: Served, options: Options | None = None) -> FastAPI:
    """The application; ``app.state.service`` is what it works with. The engine is closed when the application ends."""
    service = Service(engine, served, options or Options())

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.draining = True
        engine.close()

    app = FastAPI(title="Kolossos", version=__version__, docs_url=None, redoc_url=None, lifespan=life)
    app.state.service = service
    page, open_paths = _page(service)
    for router in (_models(service), _answers(service), _tokens(service), _watching(service), page):
        app.include_router(router)
    _answer_errors(app)
    app.add_middleware(Gate, service=service, open_paths=open_paths)
    if service.options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.options.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    return app


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return refusal.answer()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        message = f"there is nothing at {request.method} {request.url.path!r:.100}"
        return Refusal(error.status_code, message, code="not_found", headers=error.headers).answer()


def _posted(
    router: APIRouter,
    service: Service,
    path: str,
    kind: type[Body],
    answer: Callable[[Service, Body], Awaitable[Any]],
) -> None:
    """A route whose body is a ``kind``. The body is read here, and not by the framework: see `reading`."""
    schema = {"content": {"application/json": {"schema": kind.model_json_schema(by_alias=True)}}, "required": True}

    @router.post(path, name=path, openapi_extra={"requestBody": schema}, response_model=None)
    async def post(request: Request) -> Any:
        return await answer(service, await read_body(request, kind, service.options.largest_body))


def _answers(service: Service) -> APIRouter:
    router = APIRouter()
    _posted(router, service, "/v1/completions", bodies.CompletionBody, complete)
    _posted(router, service, "/v1/chat/completions", bodies.ChatBody, chat)
    _posted(router, service, "/v1/embeddings", bodies.EmbeddingBody, embed)
    _posted(router, service, "/v1/responses", bodies.ResponseBody, respond)
    return router


def _tokens(service: Service) -> APIRouter:
    router = APIRouter()

    async def detokenize(service: Service, body: bodies.DetokenizeBody) -> dict[str, Any]:
        return tokens.detokenize(service, body)

    _posted(router, service, "/tokenize", bodies.TokenizeBody, tokens.tokenize)
    _posted(router, service, "/detokenize", bodies.DetokenizeBody, detokenize)

    @router.get("/tokenizer_info")
    async def tokenizer_info() -> dict[str, Any]:
        return tokens.tokenizer_info(service)

    return router


def _models(service: Service) -> APIRouter:
    router = APIRouter()
    model = {
        "id": service.served.name,
        "object": "model",
        "created": service.served.created,
        "owned_by": "kolossos",
        "max_model_len": service.engine.context,
    }

    @router.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [model]}

    @router.get("/v1/models/{name:path}")
    async def one_model(name: str) -> dict[str, Any]:
        service.require_model(name)
        return model

    return router


def _watching(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get(ALIVE)
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/health/ready")
    @router.get("/health")
    async def ready() -> dict[str, str]:
        return health.ready(service)

    @router.get("/metrics")
    async def metrics() -> Response:
        content, kind = service.meters.page()
        return Response(content, media_type=kind)

    @router.get("/v1/kolossos/status")
    async def status() -> dict[str, Any]:
        return {**health.status(service), "time": time.time()}

    return router


def _page(service: Service) -> tuple[APIRouter, list[str]]:
    """The page's files, and their paths, which need no key."""
    router = APIRouter(include_in_schema=False)
    folder = service.options.page
    files = sorted(file for file in folder.iterdir() if file.suffix in _KINDS) if folder.is_dir() else []
    paths = {"/" if file.name == "index.html" else f"/{file.name}": file for file in files}
    for path, file in paths.items():
        _file(router, path, file)
    if "/" not in paths:
        _nothing(router, service.served.name)
    return router, ["/", *paths]


def _file(router: APIRouter, path: str, file: Path) -> None:
    @router.get(path, name=path)
    async def send() -> FileResponse:
        return FileResponse(file, media_type=_KINDS[file.suffix], headers={"Cache-Control": "no-cache"})


def _nothing(router: APIRouter, name: str) -> None:
    @router.get("/")
    async def send() -> PlainTextResponse:
        return PlainTextResponse(f"{name}: the interface is under /v1\n")
