"""Start the server: keys, a socket that nobody else reaches unless told, a model; and end it when answers have."""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from kolossos.errors import InputError
from kolossos.listening import address_of, is_loopback, listen
from kolossos.serve.engine.options import EngineOptions

FLUSH_S = 5
"""For what was answered to reach its clients, after the engine has ended."""


@dataclass(frozen=True)
class Settings:
    """host, port: 0 is any that is free. name: of the model; that of its folder if None. keys: a file with one a line.

    origins: of pages elsewhere that may ask. largest_body: bytes. drain_s: for running answers to finish when told to
    stop. stuck_s: of one pass, until the server says that it is not well.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    name: str | None = None
    step: int | None = None
    keys: Path | None = None
    origins: tuple[str, ...] = ()
    largest_body: int = 8 * 2**20
    engine: EngineOptions = field(default_factory=EngineOptions)
    drain_s: float = 30.0
    stuck_s: float = 60.0

    def __post_init__(self) -> None:
        """InputError naming what is out of range."""
        checks = [
            ("port", self.port, 0 <= self.port < 65536, "from 0 to 65535"),
            ("max-body", self.largest_body, 1024 <= self.largest_body <= 2**30, "from 1 KiB to 1 GiB"),
            ("drain", self.drain_s, 0 <= self.drain_s <= 86_400, "seconds from 0 to a day"),
            ("stuck-after", self.stuck_s, self.stuck_s > 0, "more than 0 seconds"),
        ]
        for option, value, good, wanted in checks:
            if not good:
                raise InputError(f"{option} {value!r} is out of range: it must be {wanted}")
        for origin in self.origins:
            if not origin.startswith(("http://", "https://")) or origin.rstrip("/") != origin:
                raise InputError(f"cors {origin!r}: expected an origin such as https://example.org")


@dataclass(frozen=True)
class Started:
    """What somebody who started it wants to know."""

    address: str
    model: str
    trained_on_chats: bool
    needs_key: bool


def serve(
    path: Path,
    settings: Settings,
    started: Callable[[Started], None],
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the model of ``path``, a run folder or a Hugging Face one, until told to stop (SIGINT, SIGTERM).

    ``started`` hears where, once it listens; ``say`` what is worth knowing of the model.

    Raises:
        InputError: nothing to load, an address that is not to be had or would be open to everybody, a missing extra.
    """
    uvicorn = library()
    from kolossos.serve.engine.build import build_engine
    from kolossos.serve.http.app import make_app
    from kolossos.serve.http.gate import read_keys
    from kolossos.serve.http.prompt.served import Options, Served, chat_form

    keys = read_keys(settings.keys)
    if not keys and not is_loopback(settings.host):
        raise InputError(f"host {settings.host} reaches beyond this machine: that needs a file of keys")
    bound = listen(settings.host, settings.port)
    engine, tokenizer = build_engine(path, settings.engine, settings.step, say)
    form, trained = chat_form(path, tokenizer)
    served = Served(settings.name or path.resolve().name, tokenizer, form, trained, int(time.time()))
    options = Options(
        keys=keys,
        origins=settings.origins,
        loopback=is_loopback(settings.host),
        largest_body=settings.largest_body,
        stuck_s=settings.stuck_s,
    )
    app = make_app(engine, served, options)
    started(Started(address_of(bound, settings.host), served.name, trained, bool(keys)))
    run(uvicorn, app, bound, settings.drain_s)


def run(uvicorn: Any, app: Any, bound: socket.socket, drain_s: float) -> None:
    """Serve ``app`` on ``bound`` until a signal. Then new requests get 503, running ones ``drain_s`` seconds; a second
    signal ends at once."""
    service = app.state.service

    class Draining(uvicorn.Server):
        leaving = False

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if self.leaving:
                super().handle_exit(sig, frame)
                return
            self.leaving = service.draining = True
            threading.Thread(target=self.drain, daemon=True).start()

        def drain(self) -> None:
            try:
                service.engine.close(drain_s)
            finally:
                self.should_exit = True

    config = uvicorn.Config(
        app, log_level="warning", timeout_graceful_shutdown=FLUSH_S, server_header=False, access_log=False
    )
    Draining(config).run(sockets=[bound])


def library() -> Any:
    """uvicorn; InputError naming the extra if something that the server needs is not installed."""
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise InputError(f"the server needs {error.name}: pip install 'kolossos[serve]'") from None
    return uvicorn
