"""What every server of Kolossos has in common: its socket, who can reach it, and headers that keep other sites out."""

import ipaddress
import socket

from kolossos.errors import InputError

BACKLOG = 2048
SAFE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
]
"""Of every answer, as ASGI has headers."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address reaches this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; InputError if the address is not to be had. Port 0: any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, for only then does asyncio switch off Nagle's delay of 40 ms on small pieces.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(BACKLOG)  # now, so that who reads the address can connect, before the application is ready
    except (OSError, OverflowError) as error:
        found.close()
        raise InputError(f"{host} port {port} cannot be listened on: {error}") from None
    return found


def address_of(bound: socket.socket, host: str) -> str:
    """What to type into a browser for a socket that `listen` made for ``host``."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{bound.getsockname()[1]}/"
