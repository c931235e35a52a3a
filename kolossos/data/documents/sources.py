"""What to read: a source argument (a folder, a file, ``python-stdlib``) becomes a sorted list of known files.

Which files are known, and how each is read, is said by the formats (``kolossos/data/formats``).
"""

import hashlib
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kolossos.data.corpus.manifest import is_prepared
from kolossos.data.format import Format
from kolossos.data.formats import format_of, what_is_read
from kolossos.errors import InputError

PYTHON_STDLIB = "python-stdlib"
PRIVATE = "private"
NO_ENDING = "(no ending)"

SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})


@dataclass(frozen=True)
class SourceFile:
    """One file to read. ``format`` is the name of one; ``found``: in a folder, it was not named itself."""

    path: str
    name: str
    format: str
    size_bytes: int
    sha256: str
    found: bool


@dataclass(frozen=True)
class Source:
    """A source argument and the files it stands for, in reading order.

    ``not_read`` counts what else its folder holds, by ending; PRIVATE counts the private parts of archives.
    """

    argument: str
    files: tuple[SourceFile, ...]
    not_read: dict[str, int] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """One hash over the names and contents of all files."""
        listing = "".join(f"{file.sha256}  {file.name}\n" for file in self.files)
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def find_source(argument: str, skip: frozenset[Path] = frozenset()) -> Source:
    """The files behind one source argument.

    Args:
        argument: a folder, a file, or ``python-stdlib``.
        skip: resolved folders not to read, such as the output when it lies inside the source.

    Raises:
        InputError: the place does not exist, cannot be read, or holds no file of a known kind.
    """
    try:
        return _find_source(argument, skip)
    except OSError as error:
        raise InputError(f"source {error.filename or argument} cannot be read: {error.strerror}") from error


def _find_source(argument: str, skip: frozenset[Path]) -> Source:
    root = Path(sysconfig.get_paths()["stdlib"]) if argument == PYTHON_STDLIB else Path(argument)
    if root.is_file():
        return Source(argument, (_named_file(root),))
    if not root.is_dir():
        raise InputError(f"source {argument} does not exist; give a folder, a file or {PYTHON_STDLIB!r}")
    if is_prepared(root):
        raise InputError(f"source {argument} is prepared data already; give the texts that it was made from")
    files: list[SourceFile] = []
    not_read: Counter[str] = Counter()
    for path in _walk(root, skip):
        if argument == PYTHON_STDLIB and path.suffix != ".py":
            continue
        form = format_of(path, named=False)
        if form is None or form.private(path):
            not_read[PRIVATE if form else path.suffix.lower() or NO_ENDING] += 1
        else:
            files.append(_source_file(path, path.relative_to(root).as_posix(), form, found=True))
    if not files:
        raise InputError(f"source {argument} is empty: no {what_is_read()} in it{_listed(not_read)}")
    return Source(argument, tuple(files), dict(sorted(not_read.items())))


def _named_file(path: Path) -> SourceFile:
    form = format_of(path, named=True)
    if form is None:
        raise InputError(f"source {path} is of no format that is read; known: {what_is_read()}")
    if reason := form.private(path):
        raise InputError(reason)
    return _source_file(path, path.name, form, found=False)


def _walk(root: Path, skip: frozenset[Path]) -> Iterator[Path]:
    """Files under ``root`` by name, a folder's own before its subfolders'; not hidden, generated or prepared ones."""
    for folder, subfolders, names in os.walk(root):
        if Path(folder).resolve() in skip or is_prepared(Path(folder)):
            subfolders.clear()
            continue
        subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and s not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and path.is_file():
                yield path


def _source_file(path: Path, name: str, form: Format, found: bool) -> SourceFile:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return SourceFile(str(path), name, form.name, file.tell(), digest, found)


def _listed(not_read: Counter[str]) -> str:
    if not not_read:
        return ""
    return " (not read: " + ", ".join(f"{ending} {count:,}" for ending, count in sorted(not_read.items())) + ")"
