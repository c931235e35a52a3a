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
from kolossos.data.document import storable
from kolossos.data.format import Format
from kolossos.data.formats import all_formats, format_of, what_is_read
from kolossos.errors import InputError

PYTHON_STDLIB = "python-stdlib"
PRIVATE = "private"
NO_ENDING = "(no ending)"
LINKED_FOLDER = "(folder linked again)"

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

    ``not_read`` counts what else its folder holds, by ending; PRIVATE counts all of X archives that is not posts.
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
    library = argument == PYTHON_STDLIB
    for found in _walk(root, skip, follow_links=not library):
        if library and found.path.suffix != ".py":
            continue
        form = None if found.not_read else format_of(found.path, named=False)
        if form is None or form.private(found.path) or found.owner not in (None, form):
            not_read[found.not_read or _kind(found, form)] += 1
        else:
            files.append(_source_file(found.path, found.path.relative_to(root).as_posix(), form, found=True))
    if not files:
        raise InputError(f"source {argument} is empty: no {what_is_read()} in it{_listed(not_read)}")
    return Source(argument, tuple(files), dict(sorted(not_read.items())))


def _kind(found: "_Found", form: Format | None) -> str:
    """What a file that is not read is counted as."""
    if found.owner is not None or form is not None:
        return PRIVATE
    return storable(found.path.suffix.lower()) or NO_ENDING


def _named_file(path: Path) -> SourceFile:
    form = format_of(path, named=True)
    if form is None:
        kind = path.suffix.lower() or "of no ending"
        raise InputError(
            f"source {path} is {kind}, which is not read; give its text as .txt, or one of: {what_is_read()}"
        )
    if reason := form.private(path):
        raise InputError(reason)
    return _source_file(path, path.name, form, found=False)


@dataclass(frozen=True)
class _Found:
    """A file under a folder; ``owner``: the one format that may read it; ``not_read``: why it is only counted."""

    path: Path
    owner: Format | None = None
    not_read: str | None = None


def _walk(root: Path, skip: frozenset[Path], follow_links: bool) -> Iterator[_Found]:
    """Files under ``root`` by name, a folder's own before its subfolders'; not hidden, generated or prepared ones.

    A link to a folder is followed if nothing of that folder is read anyway, so that all is read once and no walk is
    endless.
    """
    trees = [root.resolve()]  # that are read
    owners: dict[str, Format] = {}
    for folder, subfolders, names in os.walk(root, followlinks=follow_links, onerror=_refuse):
        place = Path(folder)
        resolved = place.resolve()
        if resolved in skip or is_prepared(place):
            subfolders.clear()
            continue
        owner = owners.get(str(place.parent)) or next((f for f in all_formats().values() if f.owns_folder(place)), None)
        if owner is not None:
            owners[folder] = owner
        subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and s not in SKIPPED_FOLDERS)
        for name in list(subfolders) if follow_links else ():
            linked = place / name
            if linked.is_symlink():
                target = linked.resolve()
                if any(target.is_relative_to(tree) or tree.is_relative_to(target) for tree in trees):
                    subfolders.remove(name)
                    yield _Found(linked, not_read=LINKED_FOLDER)
                else:
                    trees.append(target)
        for name in sorted(names):
            path = place / name
            if not name.startswith(".") and path.is_file():
                yield _Found(path, owner)


def _refuse(error: OSError) -> None:
    """What os.walk cannot list it would leave out in silence."""
    raise error


def _source_file(path: Path, name: str, form: Format, found: bool) -> SourceFile:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return SourceFile(str(path), name, form.name, file.tell(), digest, found)


def _listed(not_read: Counter[str]) -> str:
    if not not_read:
        return ""
    return " (not read: " + ", ".join(f"{ending} {count:,}" for ending, count in sorted(not_read.items())) + ")"
