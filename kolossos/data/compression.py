"""Packed files (.gz, .bz2, .xz, .zst) as streams of what is in them, never unpacked to the disk."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from kolossos.errors import InputError

OPENERS: dict[str, Callable[[Any], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
PACKED_SUFFIXES = (*OPENERS, ".zst")
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
MAX_LINE_BYTES = 256 << 20


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """A file to read, unpacked on the way if its ending says that it is packed; what fails raises one of DAMAGED."""
    suffix = path.suffix.lower()
    with open(path, "rb") as file:  # opened here, for Arrow takes no name that is not UTF-8
        if suffix == ".zst":
            import pyarrow

            with pyarrow.input_stream(file, compression="zstd") as stream:
                yield cast(BinaryIO, io.BufferedReader(stream, buffer_size=1 << 20))
        elif suffix in OPENERS:
            with OPENERS[suffix](file) as stream:
                yield stream
        else:
            yield file


def inner_suffix(path: Path) -> str:
    """The ending of what is in a file: ``.jsonl`` of ``a.jsonl.gz``, its own of one that is not packed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def head(path: Path, n_bytes: int = 4096) -> bytes:
    """The first bytes of what is in a file, without mark and white space; none if it is damaged."""
    try:
        with unpacked(path) as file:
            return file.read(n_bytes).lstrip(b"\xef\xbb\xbf \t\r\n")
    except FileNotFoundError:
        raise
    except DAMAGED:
        return b""


def lines(file: BinaryIO, origin: str) -> Iterator[bytes]:
    """The lines of a file; InputError for one that memory should not hold."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            raise InputError(f"{origin}:{number}: a line of more than {MAX_LINE_BYTES >> 20} MiB; cut it in several")
        yield line


def damage(path: Path, error: Exception, done: str) -> InputError:
    """What to say of a stream that broke after ``done``."""
    text = " ".join(str(error).split())
    if "too much memory" in text:
        return InputError(f"{path}: packed with a window over 128 MB; unpack it first (zstd -d --long=31)")
    return InputError(f"{path}: damaged after {done}: {text}; make the file again")
