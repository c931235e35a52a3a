"""Files that exist whole or not at all: written beside their place, flushed to the disk, then renamed."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from kolossos.errors import InputError

UNFINISHED_SUFFIX = ".unfinished"
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write that appears at ``path`` only when the block ends without an error."""
    beside = path.with_name(path.name + UNFINISHED_SUFFIX)
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Write ``content`` (text as UTF-8) to ``path``, whole or not at all."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk, where the system can (a no-op on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AppendFile:
    """Appends whole records, each durable in the system (not yet on the disk) when `append` returns.

    There is no buffer and no thread: what cannot be written is an OSError of the call that wrote it, and the part of it
    that fitted is taken back.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        self._bytes = os.fstat(self._descriptor).st_size

    def append(self, record: bytes) -> None:
        """Write ``record``, whole or not at all."""
        left = memoryview(record)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except BaseException:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._bytes)
            raise
        self._bytes += len(record)

    def sync(self) -> None:
        """Flush to the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close; again is no error."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def write_failure(error: BaseException) -> str:
    """One line that says why something could not be written."""
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        return "no space left on the disk"
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "no space left (a limit on the size of files)"
    if isinstance(error, OSError) and error.errno in READ_ONLY:
        return "it cannot be written (read-only, or not yours)"
    return f"could not write ({' '.join(str(error).split()) or type(error).__name__})"


@contextmanager
def disk_has_room(folder: Path, needed_bytes: int) -> Iterator[None]:
    """Turn "no space left" inside the block into an InputError naming ``folder`` and the bytes needed."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise InputError(
            f"no space left on the disk of {folder}: about {needed_bytes / 1e6:,.0f} MB are needed there; "
            f"make room or choose another place"
        ) from error
