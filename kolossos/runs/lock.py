"""One process trains in a run folder: a lock that the system takes away when the process ends, however it ends.

The file ``lock`` in the folder names who holds it. It stays when the lock is gone: a lock file that is deleted can be
locked twice.
"""

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kolossos.errors import InputError
from kolossos.files import write_failure
from kolossos.runs.paths import RunPaths

UNKNOWN_TO_THE_FILE_SYSTEM = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``, which is made if it is not there (and taken away again if it stays empty).

    POSIX locks (fcntl): unlike those of flock they are not inherited by child processes, and NFS knows them. Where the
    system or the file system has none, nothing is locked.

    Raises:
        InputError: another process holds it (with its number and host); or the folder cannot be written.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    descriptor = _opened(folder)
    try:
        with suppress(OSError):  # a full disk: locked all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
        if missing:
            _take_away(missing)
        os.close(descriptor)


def _opened(folder: Path) -> int:
    """The lock file, open and locked."""
    path = RunPaths(folder).lock
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise InputError(f"{folder}: nothing can be trained here: {write_failure(error)}") from None
        try:
            _lock(descriptor, folder)
            with suppress(FileNotFoundError):  # else whoever held it took the folder away meanwhile
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take_away(made: list[Path]) -> None:
    """Remove the folders that were made for the lock, if nothing came into them."""
    path = RunPaths(made[0]).lock
    with suppress(OSError):
        if [file.name for file in made[0].iterdir()] == [path.name]:
            path.unlink()
            for folder in made:
                folder.rmdir()


def _lock(descriptor: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in UNKNOWN_TO_THE_FILE_SYSTEM:
            return
        raise InputError(
            f"{folder}: {_holder(descriptor)} trains here now; wait for it, stop it, or choose another folder"
        ) from None


def _holder(descriptor: int) -> str:
    try:
        held = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {held['pid']} on {held['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
