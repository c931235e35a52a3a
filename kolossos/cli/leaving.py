"""How a command ends."""

import os
import sys
from contextlib import suppress

import typer


def leave(code: int, *, at_once: bool = False) -> None:
    """End the command with ``code`` if it is not 0; ``at_once``: wait for no thread, such as one that writes."""
    if at_once:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    if code:
        raise typer.Exit(code)
