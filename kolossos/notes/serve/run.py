"""Start the service: a ledger, a first operator, a socket that nobody else can reach unless told."""

import ipaddress
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kolossos.errors import InputError
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


def is_loopback(host: str) -> bool:
    """Whether a host name or address reaches this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; InputError if the address is not to be had. Port 0: any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # or asyncio sets no TCP_NODELAY
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        raise InputError(f"{host} port {port} cannot be listened on: {error}") from None
    return found


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
    shown = f"[{host}]" if ":" in host else host
    app = make_app(Desk(ledger), policy, reading_needs_key=not is_loopback(host), per_second=per_second)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False)
    started(Started(f"http://{shown}:{bound.getsockname()[1]}/", where, key))
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
    started(f"http://127.0.0.1:{bound.getsockname()[1]}/")
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
