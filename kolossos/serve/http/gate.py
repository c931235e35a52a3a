"""What every request passes: its number, the Host it names, its key; and headers that keep other sites out."""

import hashlib
import hmac
import logging
import os
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from kolossos.errors import InputError
from kolossos.listening import SAFE_HEADERS, is_loopback
from kolossos.serve.http.service import Service
from kolossos.serve.http.wire.reading import too_large
from kolossos.serve.http.wire.refusals import Refusal, failed, shutting_down

LOG = logging.getLogger("kolossos.serve")
KEYS_VARIABLE = "KOLOSSOS_API_KEYS"
SHORTEST_KEY = 16
ALIVE = "/health/live"


def digest(key: str) -> bytes:
    """What is kept of a key, and compared: equal lengths, so that the time taken tells nothing of it."""
    return hashlib.sha256(key.encode()).digest()


def read_keys(file: Path | None) -> frozenset[bytes]:
    """Digests of the keys in ``file``, one a line, and in the variable KOLOSSOS_API_KEYS, between commas or spaces.

    Raises:
        InputError: the file cannot be read, holds none, or a key is shorter than 16 characters.
    """
    keys = os.environ.get(KEYS_VARIABLE, "").replace(",", " ").split()
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: the keys cannot be read: {error}") from None
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise InputError(f"{file}: no key in it; expected one a line")
        keys += found
    if any(len(key) < SHORTEST_KEY for key in keys):
        raise InputError(f"a key is shorter than {SHORTEST_KEY} characters: too easy to guess")
    return frozenset(digest(key) for key in keys)


class Gate:
    """Around the whole application."""

    def __init__(self, app: Any, service: Service, open_paths: Iterable[str]) -> None:
        """open_paths: those that need no key."""
        self._app, self._service, self._open = app, service, frozenset(open_paths) | {ALIVE}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, headers = time.monotonic(), dict(scope["headers"])
        number = _number(headers.get(b"x-request-id", b""))
        status = 0

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number), *SAFE_HEADERS]
            await send(message)

        try:
            self._admit(scope["path"], headers)
            await self._app(scope, receive, marked)
        except Refusal as refusal:
            if status == 0:
                await refusal.answer()(scope, receive, marked)
        except Exception:
            LOG.exception("request %s failed", number.decode())
            if status == 0:
                await failed("an error inside the server").answer()(scope, receive, marked)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self._service.meters.answered(route, status, time.monotonic() - began)

    def _admit(self, path: str, headers: dict[bytes, bytes]) -> None:
        options = self._service.options
        if options.loopback and not _is_this_machine(headers.get(b"host", b"").decode("latin-1")):
            raise Refusal(403, "this Host is not served here: only localhost, 127.0.0.1 and [::1]", code="wrong_host")
        if options.keys and path not in self._open:
            self._require_key(headers.get(b"authorization", b""))
        stated = headers.get(b"content-length", b"0")
        if not stated.isdigit() or len(stated) > 18 or int(stated) > options.largest_body:
            raise too_large(options.largest_body)
        if self._service.draining and path != ALIVE:
            raise shutting_down()

    def _require_key(self, shown: bytes) -> None:
        scheme, _, key = shown.decode("latin-1").partition(" ")
        found = digest(key.strip())
        known = [hmac.compare_digest(found, one) for one in self._service.options.keys]  # all of them, always
        if scheme.lower() != "bearer" or not any(known):
            message = "a key is needed: Authorization: Bearer KEY" if not shown else "this key is not known here"
            raise Refusal(401, message, code="invalid_api_key")


def _number(given: bytes) -> bytes:
    """The request's number as it was given, if it may stand in a header; else a new one."""
    right = 0 < len(given) <= 128 and all(33 <= byte < 127 for byte in given)
    return given if right else uuid.uuid4().hex.encode()


def _is_this_machine(host: str) -> bool:
    """Whether ``host``, of a header, is a name or address of this machine, with a port or without."""
    name, port = host.lower(), ""
    if not host.endswith("]") and ":" in host:
        name, _, port = name.rpartition(":")
        if not port.isdigit():
            return False
    if ":" in name and not (name.startswith("[") and name.endswith("]")):
        return False
    return is_loopback(name.strip("[]"))
