"""Where files lie: a folder of this machine, or any place that fsspec reaches (s3://, gs://, memory://), one interface.

What is written appears whole. On this machine a file is written beside its place, flushed and renamed, and so is a
folder (`rename`). Other stores cannot rename at once (`renames` is False there): the file that says "all is here" (a
manifest) is put last, and a folder without it is not there.
"""

import hashlib
import io
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

from kolossos.errors import InputError
from kolossos.files import sync_folder, whole_file

CACHE_VARIABLE = "KOLOSSOS_CACHE"
COPY_BYTES = 8 << 20


class Store(ABC):
    """A folder somewhere. Names are of files and folders in it; whatever fails raises OSError.

    Attributes:
        place: the path or URL, as messages show it.
        renames: whether `rename` moves a folder at once.
        local: the folder as a path, or None if it is not on this machine.
    """

    place: str
    renames: ClassVar[bool]
    local: Path | None = None

    def __str__(self) -> str:
        return self.place

    @property
    def name(self) -> str:
        return self.place.rstrip("/").rpartition("/")[2]

    @abstractmethod
    def __truediv__(self, name: str) -> "Store":
        """The folder ``name`` in this one; it need not exist."""

    @abstractmethod
    def names(self) -> list[str]:
        """What the folder holds, files and folders, sorted; nothing if it does not exist."""

    @abstractmethod
    def size(self, name: str) -> int:
        """Bytes of a file; FileNotFoundError if there is none."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """A file to read, which can seek."""

    @abstractmethod
    def create(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file to write that is there only if the block ends without an error; makes the folder."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Take away a file, or a folder with all that is in it; it need not exist."""

    @abstractmethod
    def rename(self, name: str, new_name: str) -> None:
        """Give a file or folder another name, at once, and flush that; only where `renames`."""

    @abstractmethod
    def make_local(self, names: Iterable[str], folder: Path) -> Path:
        """A folder of this machine that holds these files: this one, or ``folder``, filled by copying what it lacks."""

    def exists(self, name: str) -> bool:
        return name in self.names()

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self.open(name) as file:
            return file.read()

    def write(self, name: str, content: bytes | str) -> None:
        """Write ``content`` (text as UTF-8), whole or not at all."""
        with self.create(name) as file:
            file.write(content.encode() if isinstance(content, str) else content)

    def sha256(self, name: str) -> str:
        """The sha256 of a file's content, in hexadecimal."""
        with self.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]


def open_store(place: "str | Path | Store") -> Store:
    """The store at a path or URL; InputError for a URL of an unknown kind, or one whose package is not installed."""
    if isinstance(place, Store):
        return place
    if isinstance(place, Path) or ("://" not in place and "::" not in place):
        return LocalStore(Path(place))
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        filesystem, path = url_to_fs(place)
    except (ValueError, ImportError) as error:
        raise InputError(f"{place}: no such store ({error}); give a folder or a URL that fsspec opens") from None
    return LocalStore(Path(path)) if isinstance(filesystem, LocalFileSystem) else RemoteStore(place, filesystem, path)


def cache_folder() -> Path:
    """Where copies of remote files are kept on this machine: $KOLOSSOS_CACHE, or ``kolossos`` in the user's cache."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kolossos"


class LocalStore(Store):
    """A folder of this machine."""

    renames = True

    def __init__(self, path: Path) -> None:
        self.place, self.local = str(path), path
        self._path = path

    @property
    def name(self) -> str:
        return self._path.name

    def __truediv__(self, name: str) -> "LocalStore":
        return LocalStore(self._path / name)

    def names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._path))
        except FileNotFoundError:
            return []

    def exists(self, name: str) -> bool:
        return (self._path / name).exists()

    def size(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def open(self, name: str) -> BinaryIO:
        return open(self._path / name, "rb")

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        self._path.mkdir(parents=True, exist_ok=True)
        with whole_file(self._path / name) as file:
            yield file

    def remove(self, name: str) -> None:
        path = self._path / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def rename(self, name: str, new_name: str) -> None:
        path = self._path / name
        if path.is_dir():
            sync_folder(path)
        os.replace(path, self._path / new_name)
        sync_folder(self._path)

    def make_local(self, names: Iterable[str], folder: Path) -> Path:
        return self._path


class RemoteStore(Store):
    """A folder of any other fsspec filesystem."""

    renames = False

    def __init__(self, place: str, filesystem: Any, path: str) -> None:
        self.place = place.rstrip("/")
        self._filesystem, self._path = filesystem, path.rstrip("/")

    def __truediv__(self, name: str) -> "RemoteStore":
        return RemoteStore(f"{self.place}/{name}", self._filesystem, f"{self._path}/{name}")

    def names(self) -> list[str]:
        with self._errors():
            self._filesystem.invalidate_cache(self._path)  # others write here too
            try:
                found = self._filesystem.ls(self._path, detail=False)
            except FileNotFoundError:
                return []
            return sorted({str(path).rstrip("/").rpartition("/")[2] for path in found} - {""})

    def size(self, name: str) -> int:
        with self._errors():
            return int(self._filesystem.size(f"{self._path}/{name}"))

    def open(self, name: str) -> BinaryIO:
        with self._errors():
            return cast(BinaryIO, self._filesystem.open(f"{self._path}/{name}", "rb"))

    def write(self, name: str, content: bytes | str) -> None:
        with self._errors():  # one request: whole in every store
            self._filesystem.makedirs(self._path, exist_ok=True)
            self._filesystem.pipe_file(
                f"{self._path}/{name}", content.encode() if isinstance(content, str) else content
            )

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        path = f"{self._path}/{name}"
        with self._errors():
            self._filesystem.makedirs(self._path, exist_ok=True)
            file = self._filesystem.open(path, "wb")
        try:
            yield cast(BinaryIO, _RemoteWriter(file, self._errors))
            with self._errors():
                file.close()
        except BaseException:
            with suppress(Exception):
                file.close()
            with suppress(Exception):
                self._filesystem.rm_file(path)
            raise

    def remove(self, name: str) -> None:
        with self._errors(), suppress(FileNotFoundError):
            self._filesystem.rm(f"{self._path}/{name}", recursive=True)

    def rename(self, name: str, new_name: str) -> None:
        raise io.UnsupportedOperation(f"{self.place}: such a store cannot rename at once")

    def make_local(self, names: Iterable[str], folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not (folder / name).exists():
                with self.open(name) as source, whole_file(folder / name) as copy, self._errors():
                    shutil.copyfileobj(source, copy, COPY_BYTES)
        return folder

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Stores raise errors of their own kinds; here all are OSError."""
        try:
            yield
        except (OSError, InputError):
            raise
        except Exception as error:
            raise OSError(f"{self.place}: {type(error).__name__}: {error}") from error


class _RemoteWriter:
    """A file to write whose errors are those of its store."""

    def __init__(self, file: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._file, self._errors = file, errors

    def write(self, content: bytes | memoryview) -> int:
        with self._errors():
            return self._file.write(content)
