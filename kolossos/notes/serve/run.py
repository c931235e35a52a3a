"""Start the service: a ledger, a first operator, a socket that nobody else can reach unless told."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolossos.errors import InputError
from kolossos.listening import address_of, is_loopback, listen
from kolossos.notes.decide import Policy
from kolossos.notes.ledger.book import OPERATOR, SYSTEM, TREASURY
from kolossos.notes.ledger.ledger import Ledger

if TYPE_CHECKING:
    from kolossos.notes.serve.demo import Demo

FIRST_OPERATOR = "operator"


@dataclass(frozen=True)
class Started:
    """What somebody who started it wants to know; ``key`` only where a first operator was made."""

    address: str
    ledger: str
    key: str | None


def first_operator(ledger: Ledger, treasury: int) -> str | None:
    """Make an operator where there is none, with a treasury of ``treasury`` micro-credits; returns its key."""
    from kolossos.notes.serve.keys import new_key

    with ledger.reading() as book:
        if any(p.role == OPERATOR and p.key_sha256 for p in book.people.values()):
            return None
    key, digest = new_key()
    ledger.one("join", by=SYSTEM, name=FIRST_OPERATOR, role=OPERATOR, key_sha256=digest)
    ledger.one("grant", by=SYSTEM, to=TREASURY, credits=treasury)
    return key


def serve(
    where: str,
    host: str,
    port: int,
    *,
    treasury: int,
    policy: Policy,
    started: Callable[[Started], None],
    per_second: float = 50.0,
) -> None:
    """Serve until told to stop (SIGINT, SIGTERM); what was accepted is finished first. Beyond this machine nothing but
    the page's own files is told without a key."""
    uvicorn = _library()
    from kolossos.notes.serve.app import make_app
    from kolossos.notes.serve.desk import Desk

    ledger = Ledger(where)
    key = first_operator(ledger, treasury)
    bound = listen(host, port)
    app = make_app(Desk(ledger), policy, reading_needs_key=not is_loopback(host), per_second=per_second)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False)
    started(Started(address_of(bound, host), where, key))
    uvicorn.Server(config).run(sockets=[bound])


def serve_demo(demo: "Demo", port: int, started: Callable[[str], None]) -> None:
    """Serve a prepared demonstration on this machine while its world goes on."""
    uvicorn = _library()
    from kolossos.notes.serve.app import make_app
    from kolossos.notes.serve.demo import play_on
    from kolossos.notes.serve.desk import Desk

    bound = listen("127.0.0.1", port)
    desk = Desk(demo.ledger)
    stop = threading.Event()
    app = make_app(desk, Policy())
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False)
    world = play_on(demo, desk.put, stop)
    started(address_of(bound, "127.0.0.1"))
    try:
        uvicorn.Server(config).run(sockets=[bound])
    finally:
        stop.set()
        world.join(10)


def _library() -> Any:
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError:
        raise InputError("the server needs fastapi and uvicorn: pip install 'kolossos[serve]'") from None
    return uvicorn
