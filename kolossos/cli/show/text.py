"""Text on a terminal: nothing in it moves the cursor, rings or changes colours, and all of it can be encoded."""

import codecs
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from rich.console import Console

ERRORS = "kolossos"
KEPT = "\n\t"
PLAIN_LOCALES = ("C", "POSIX")
IN_ASCII = {"–": "-", "—": "-", "−": "-", "…": "...", "×": "x", "·": ".", "≈": "~", "≤": "<=", "≥": ">=", "→": "->"}
LEAST_COLUMNS = 80  # of a table: a narrower terminal wraps its lines, and no number in it is cut


def printable(text: str) -> str:
    r"""``text`` with control characters (C0, C1, DEL, bidirectional ones) as ``\x1b``; line ends and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cf", "Cs") and _harms(c) else c for c in text)


def for_stream(text: str, stream: TextIO | None = None) -> str:
    """``text`` as it may be written to ``stream`` (None: stdout): printable on a terminal, unchanged into a pipe."""
    stream = stream or sys.stdout
    return printable(text) if stream is not None and stream.isatty() else text


def prepare_streams() -> None:
    """What a stream cannot encode is written as an escape, never an error; a terminal told to be plain gets ASCII."""
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    codecs.register_error(ERRORS, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if not hasattr(stream, "reconfigure"):
            continue
        plain = locale in PLAIN_LOCALES and stream.isatty()
        stream.reconfigure(encoding="ascii" if plain else None, errors=ERRORS)  # type: ignore[union-attr]


def leave_at_once(code: int) -> NoReturn:
    """End this process with ``code`` when its words are written, and wait for no thread of it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def table_console() -> "Console":
    """Where tables are printed: stdout, as if it were wide enough."""
    from rich.console import Console

    console = Console()
    return console if console.width >= LEAST_COLUMNS else Console(width=LEAST_COLUMNS)


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler of codecs: what cannot be encoded as something like it, or as an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(IN_ASCII.get(character) or _escaped(character) for character in text), error.end


def _harms(character: str) -> bool:
    joins = "\u200c\u200d"  # Persian, Indic scripts and emoji need these
    return character not in KEPT and character not in joins


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
