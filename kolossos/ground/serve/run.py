"""Start the server: on this machine alone, for what the sources hold is its user's."""

from collections.abc import Callable
from typing import Any

from kolossos.errors import InputError
from kolossos.ground.answer.ask import Asker
from kolossos.ground.answer.written.client import ChatModel
from kolossos.listening import address_of, listen

HOST = "127.0.0.1"


def serve(asker: Asker, model: ChatModel | None, port: int, started: Callable[[str], None]) -> None:
    """Serve until told to stop (SIGINT, SIGTERM). ``started`` is told the address."""
    if not 0 <= port < 65536:
        raise InputError(f"port {port} is out of range: it must be from 0 to 65535")
    uvicorn = _library()
    from kolossos.ground.serve.app import make_app
    from kolossos.ground.serve.desk import Desk

    app = make_app(Desk(asker, model))
    bound = listen(HOST, port)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False)
    started(address_of(bound, HOST))
    uvicorn.Server(config).run(sockets=[bound])


def _library() -> Any:
    try:
        import fastapi  # noqa: F401
        import uvicorn
    except ImportError:
        raise InputError("the page needs fastapi and uvicorn: pip install 'kolossos[serve]'") from None
    return uvicorn
