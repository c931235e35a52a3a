"""Long texts cut into documents at the ends of paragraphs, else of lines, else of words: one rule for every format."""

import io
from collections.abc import Iterator
from typing import BinaryIO

LARGE_TEXT_BYTES = 1 << 20  # a larger text (a dump, a book) is cut
PIECE_BYTES = 1 << 16


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """UTF-8 text cut at blank lines into pieces of about PIECE_BYTES; at any line where there are no blank ones."""
    collected: list[bytes] = []
    size = 0
    for line in _bounded_lines(file):
        collected.append(line)
        size += len(line)
        if size >= 2 * PIECE_BYTES or (size >= PIECE_BYTES and line.isspace()):
            yield b"".join(collected)
            collected, size = [], 0
    if collected:
        yield b"".join(collected)


def cut(text: str) -> Iterator[str]:
    """A large text in pieces, any other as it is; ``text`` has no halves of surrogate pairs."""
    if 4 * len(text) <= LARGE_TEXT_BYTES:
        yield text
        return
    content = text.encode()
    if len(content) <= LARGE_TEXT_BYTES:
        yield text
        return
    for piece in pieces(io.BytesIO(content)):
        yield piece.decode()


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines; of one longer than LARGE_TEXT_BYTES parts of PIECE_BYTES that end behind a space or a character."""
    rest, long = b"", False
    while more := file.readline(LARGE_TEXT_BYTES):
        line = rest + more
        rest = b""
        ended = line.endswith(b"\n") or len(more) < LARGE_TEXT_BYTES
        long = long or not ended
        *whole, last = _parts(line) if long else (line,)
        yield from whole
        if ended:
            yield last
            long = False
        else:
            rest = last
    if rest:
        yield rest


def _parts(line: bytes) -> list[bytes]:
    parts: list[bytes] = []
    start = 0
    while len(line) - start > 2 * PIECE_BYTES:
        stop = line.rfind(b" ", start, start + 2 * PIECE_BYTES) + 1
        if stop <= start + PIECE_BYTES:
            stop = start + 2 * PIECE_BYTES
            for _ in range(3):  # not inside a character; what is no UTF-8 is found when it is decoded
                stop -= line[stop] & 0xC0 == 0x80
        parts.append(line[start:stop])
        start = stop
    return [*parts, line[start:]]
