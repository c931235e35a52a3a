"""The routes: looking, trading, a market's life, accounts, the stream of events, the page."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query
from fastapi.responses import FileResponse, StreamingResponse
from starlette.exceptions import HTTPException

from kolossos.errors import InputError
from kolossos.notes.decide import Policy
from kolossos.notes.ledger.book import OPERATOR, TREASURY, Person
from kolossos.notes.oracle.evidence import require_fresh
from kolossos.notes.oracle.questions import LOCK_AFTER, question
from kolossos.notes.serve import bodies, views
from kolossos.notes.serve.clerk import Clerk
from kolossos.notes.serve.desk import Desk
from kolossos.notes.serve.gate import Bounds, Gate, actor, answer_errors, reader
from kolossos.notes.serve.keys import RateLimit, new_key

PAGE = Path(__file__).parent / "page"
TRADES = ("buy", "against", "sell", "redeem", "take", "order", "cancel", "add", "withdraw", "state", "settle")
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=100)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Actor = Annotated[Person, Depends(actor)]


def make_app(
    desk: Desk,
    policy: Policy | None = None,
    *,
    reading_needs_key: bool = False,
    per_second: float = 50,
    burst: int = 200,
) -> FastAPI:
    """The application on a desk. ``reading_needs_key``: nothing but the page's files is told without a key."""
    chosen = policy or Policy()
    clerk = Clerk(desk, chosen)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        clerk.start()
        yield
        clerk.stop()
        desk.close()

    app = FastAPI(title="Kolossos notes", docs_url=None, redoc_url=None, lifespan=life)
    answer_errors(app)
    app.state.gate = Gate(desk, reading_needs_key, RateLimit(per_second, burst))
    for router in (
        _looking(desk, chosen),
        _trading(desk),
        _running(desk),
        _accounts(desk),
        _page(),
    ):
        app.include_router(router)
    app.add_middleware(Bounds)
    return app


def _now() -> int:
    return time.time_ns() // 1_000_000


def _looking(desk: Desk, policy: Policy) -> APIRouter:
    router = APIRouter(dependencies=[Depends(reader)])

    @router.get("/v1/markets")
    async def markets(
        state: str | None = None, limit: Limit = 100, search: Annotated[str, Query(max_length=200)] = ""
    ) -> list:
        return await desk.read(lambda book: views.listed(book, state, limit, search))

    @router.get("/v1/markets/{name}")
    async def market(name: str) -> dict:
        return await desk.read(lambda book: views.whole(book, name, max(_now(), book.at), policy))

    @router.get("/v1/markets/{name}/events")
    async def market_events(name: str, limit: Limit = 500) -> list:
        await desk.read(lambda book: views.known_market(book, name))
        return desk.ledger.market_events(name, TRADES, limit)

    @router.get("/v1/standings")
    async def standings(limit: Limit = 100) -> list:
        return await desk.read(lambda book: views.standings(book, limit))

    @router.get("/v1/worth-rating")
    async def worth_rating(limit: Limit = 50) -> list:
        return await desk.read(lambda book: views.worth_rating(book, policy, limit))

    @router.get("/v1/figures")
    async def figures() -> dict:
        return await desk.read(views.figures)

    @router.get("/v1/events")
    async def events(
        after: Annotated[int | None, Query(ge=0)] = None, last_event_id: Annotated[str | None, Header()] = None
    ) -> StreamingResponse:
        start = int(last_event_id) if last_event_id and last_event_id.isdigit() else after

        async def lines() -> AsyncIterator[str]:
            yield ": hello\n\n"
            async for event in desk.stream(start):
                yield f"id: {event['seq']}\ndata: {json.dumps(_public(event))}\n\n" if event else ": still here\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return router


def _public(event: dict) -> dict:
    return {name: value for name, value in event.items() if name != "key_sha256"}


def _trading(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/markets/{name}/trades")
    async def trade(name: str, body: bodies.Trade, person: Actor, key: Key = None) -> dict:
        operation, values = body.operation()
        if body.do != "redeem" and body.outcome is None:
            raise InputError("outcome: which one is needed")
        return await desk.do(operation, key, user=person.name, market=name, **values)

    @router.delete("/v1/markets/{name}/orders/{number}")
    async def cancel(name: str, number: int, person: Actor, key: Key = None) -> dict:
        return await desk.do("cancel", key, user=person.name, market=name, number=number)

    @router.get("/v1/me")
    async def me(person: Actor) -> dict:
        return await desk.read(lambda book: views.me(book, person.name))

    return router


def _running(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/markets", status_code=201)
    async def open_market(body: bodies.NewMarket, person: Actor, key: Key = None) -> dict:
        about = {n: v for n in ("post", "post_text", "note_text", "author") if (v := getattr(body, n)) is not None}
        asked = question(body.criterion, body.note, body.by, **about)
        maker = {n: v for n in ("outcomes", "b", "weights", "funding") if (v := getattr(body, n)) is not None}
        closes = body.closes or _now() + LOCK_AFTER
        values = {"name": body.name, "question": asked, "closes": closes, "price_ppm": body.price_ppm, **maker}
        return await desk.do("open", key, by=person.name, **values)

    @router.post("/v1/markets/{name}/candidates")
    async def candidate(name: str, body: bodies.Candidate, person: Actor, key: Key = None) -> dict:
        return await desk.do("add", key, by=person.name, market=name, **body.model_dump())

    @router.post("/v1/markets/{name}/withdraw")
    async def withdraw(name: str, body: bodies.Outcome, person: Actor, key: Key = None) -> dict:
        return await desk.do("withdraw", key, by=person.name, market=name, outcome=body.outcome)

    @router.post("/v1/markets/{name}/ratings")
    async def ratings(name: str, body: bodies.Ratings, person: Actor) -> dict:
        return await desk.do("observe", by=person.name, market=name, **body.model_dump())

    @router.post("/v1/markets/{name}/propose")
    async def propose(name: str, body: bodies.Proposal, person: Actor, key: Key = None) -> dict:
        stated = body.model_dump(exclude={"outcome"})
        require_fresh(stated, _now())
        return await desk.do("propose", key, by=person.name, market=name, outcome=body.outcome, evidence=stated)

    @router.post("/v1/markets/{name}/settle")
    async def settle(name: str, body: bodies.Settlement, person: Actor, key: Key = None) -> dict:
        values = {n: v for n, v in body.model_dump().items() if v is not None}
        return await desk.do("settle", key, by=person.name, market=name, **values)

    for step in ("halt", "go_on", "challenge"):
        _step(router, desk, step)
    return router


def _step(router: APIRouter, desk: Desk, step: str) -> None:
    @router.post(f"/v1/markets/{{name}}/{step}", name=step)
    async def change(name: str, body: bodies.Why, person: Actor, key: Key = None) -> dict:
        return await desk.do(step, key, by=person.name, market=name, why=body.why)


def _accounts(desk: Desk) -> APIRouter:
    router = APIRouter()

    @router.post("/v1/people", status_code=201)
    async def join(body: bodies.NewPerson, person: Actor) -> dict:
        secret, digest = new_key()
        event = await desk.do("join", by=person.name, key_sha256=digest, **body.model_dump())
        return {**_public(event), "api_key": secret}

    @router.post("/v1/people/{name}/key")
    async def another_key(name: str, person: Actor) -> dict:
        secret, digest = new_key()
        return {**_public(await desk.do("change", by=person.name, name=name, key_sha256=digest)), "api_key": secret}

    @router.delete("/v1/people/{name}")
    async def leave(name: str, person: Actor) -> dict:
        if name == person.name:
            raise HTTPException(400, "nobody closes their own account: another operator does")
        return _public(await desk.do("change", by=person.name, name=name, active=False))

    @router.post("/v1/people/{name}/credits")
    async def grant(name: str, body: bodies.Grant, person: Actor, key: Key = None) -> dict:
        return await desk.do("grant", key, by=person.name, to=name, credits=body.credits)

    @router.get("/v1/treasury")
    async def treasury(person: Actor) -> dict:
        await desk.read(lambda book: book.require(person.name, OPERATOR))
        return {"credits": await desk.read(lambda book: book.balance(TREASURY))}

    return router


def _page() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def file(path: str, name: str, kind: str) -> None:
        @router.get(path)
        async def send() -> FileResponse:
            return FileResponse(PAGE / name, media_type=kind, headers={"Cache-Control": "no-cache"})

    file("/", "index.html", "text/html; charset=utf-8")
    file("/page.js", "page.js", "text/javascript; charset=utf-8")
    file("/page.css", "page.css", "text/css; charset=utf-8")

    @router.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "ok"}

    return router
