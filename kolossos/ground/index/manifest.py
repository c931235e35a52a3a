"""What lies in an index's folder, and who may write there.

index.json      version, the present generation of the lexical index, the embedding model, languages
lexical-N/      tantivy, generation N
dense/          usearch, a file a batch, and segments.json, which lists those that count
writer.lock     held by the one who writes
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kolossos.errors import InputError
from kolossos.files import write_failure, write_whole
from kolossos.ground.index.model import Model

FORMAT = "kolossos-index"
VERSION = 1
MANIFEST = "index.json"
DENSE = "dense"
LOCK = "writer.lock"


@dataclass(frozen=True)
class Manifest:
    """The content of index.json; ``languages`` are those by whose rules texts were stemmed."""

    generation: int = 1
    model: Model | None = None
    languages: tuple[str, ...] = ()

    @property
    def lexical(self) -> str:
        """The folder of the lexical index."""
        return f"lexical-{self.generation}"

    def with_languages(self, more: set[str]) -> "Manifest":
        return replace(self, languages=tuple(sorted({*self.languages, *more})))

    def next_generation(self) -> "Manifest":
        return replace(self, generation=self.generation + 1)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an index; InputError for what is none, is broken or is of another version."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder} holds no index; kolossos index makes one") from None
    except NotADirectoryError:
        raise InputError(f"{folder} is a file; give the folder of an index") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{path} is broken; make the index again") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InputError(f"{path} is of another program; give the folder of an index, or make a new one elsewhere")
    if found.get("version") != VERSION:
        raise InputError(
            f"{folder} is an index of version {found.get('version')}, and this program reads version {VERSION}; "
            f"make the index again"
        )
    try:
        model = Model(**found["model"]) if found["model"] else None
        return Manifest(int(found["generation"]), model, tuple(map(str, found["languages"])))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} is broken; make the index again") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put ``manifest`` in the place of the one before, at once."""
    write_whole(folder / MANIFEST, json.dumps({"format": FORMAT, "version": VERSION} | asdict(manifest), indent=1))


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder``; it is free again when this process ends, however it ends.

    Where the system or the file system has no such locks, tantivy's own keeps two writers apart.
    """
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(f"{folder}: {write_failure(error)}") from None
    try:
        _lock(descriptor, folder)
        with suppress(OSError):  # a full disk: locked all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        raise InputError(f"{folder} is being written by another process ({holder or '?'}); wait for it") from None
    except OSError:  # a file system without locks
        return
