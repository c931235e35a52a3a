"""What to read: a source argument (a folder, a file, ``python-stdlib``) becomes a sorted list of known files."""

import hashlib
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kolossos.errors import InputError

PYTHON_STDLIB = "python-stdlib"

# fmt: off
TEXT_SUFFIXES = frozenset({".txt", ".text", ".md", ".markdown", ".rst", ".tex", ".org", ".adoc"})
CODE_SUFFIXES = frozenset({
    ".asm", ".bash", ".c", ".cc", ".clj", ".cmake", ".cpp", ".cs", ".css", ".cu", ".cuh", ".cxx", ".dart", ".el",
    ".erl", ".ex", ".exs", ".f90", ".fish", ".go", ".h", ".hpp", ".hs", ".java", ".jl", ".js", ".jsx", ".kt", ".lisp",
    ".lua", ".m", ".ml", ".nim", ".php", ".pl", ".proto", ".ps1", ".py", ".pyi", ".pyx", ".r", ".rb", ".rs", ".scala",
    ".scm", ".scss", ".sh", ".sql", ".sv", ".swift", ".toml", ".ts", ".tsx", ".v", ".vhd", ".vue", ".yaml", ".yml",
    ".zig", ".zsh",
})
# fmt: on
JSONL_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst")
SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})
KINDS_READ = "text and code files, .jsonl (also .gz, .zst), .parquet, and an X archive (.zip)"

Kind = Literal["text", "jsonl", "parquet", "archive"]


@dataclass(frozen=True)
class SourceFile:
    """One file to read. ``lenient``: it was found in a folder, so that it is skipped, not refused, if it is no text."""

    path: str
    name: str
    kind: Kind
    size_bytes: int
    sha256: str
    lenient: bool


@dataclass(frozen=True)
class Source:
    """A source argument and the files it stands for, in reading order."""

    argument: str
    files: tuple[SourceFile, ...]

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
    if argument == PYTHON_STDLIB:
        root = Path(sysconfig.get_paths()["stdlib"])
        found: list[tuple[Path, Kind]] = [(path, kind) for path, kind in _walk(root, skip) if path.suffix == ".py"]
    elif (root := Path(argument)).is_dir():
        found = list(_walk(root, skip))
    elif root.is_file():
        return Source(argument, (_source_file(root, root.name, kind_of_file(root), lenient=False),))
    else:
        raise InputError(f"source {argument} does not exist; give a folder, a file or {PYTHON_STDLIB!r}")
    if not found:
        raise InputError(f"source {argument} is empty: no {KINDS_READ} in it")
    return Source(
        argument,
        tuple(
            _source_file(path, path.relative_to(root).as_posix(), kind, lenient=kind == "text") for path, kind in found
        ),
    )


def kind_of_file(path: Path) -> Kind:
    """How to read a file that was named itself: by its ending, and as text when the ending is unknown."""
    name = path.name.lower()
    if name.endswith(JSONL_SUFFIXES):
        return "jsonl"
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith(".zip") or _x_archive_part(path) == "posts":
        return "archive"
    return "text"


def _walk(root: Path, skip: frozenset[Path]) -> Iterator[tuple[Path, Kind]]:
    """Files under ``root`` by name, a folder's own before its subfolders'; hidden and generated are left out."""
    for folder, subfolders, names in os.walk(root):
        if Path(folder).resolve() in skip:
            subfolders.clear()
            continue
        subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and s not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(folder, name)
            kind = None if name.startswith(".") or not path.is_file() else _kind_in_folder(path)
            if kind is not None:
                yield path, kind


def _kind_in_folder(path: Path) -> Kind | None:
    """The kind of a file met in a folder, or None to leave it out. Of an unpacked X archive only the posts are read."""
    name, suffix = path.name.lower(), path.suffix.lower()
    if name.endswith(JSONL_SUFFIXES):
        return "jsonl"
    if suffix == ".parquet":
        return "parquet"
    if suffix == ".js" and (part := _x_archive_part(path)):
        return "archive" if part == "posts" else None
    return "text" if suffix in TEXT_SUFFIXES or suffix in CODE_SUFFIXES else None


def _x_archive_part(path: Path) -> Literal["posts", "private"] | None:
    """Whether a .js file is part of an X archive; all but the posts (messages, contacts, ...) is private."""
    if path.suffix.lower() != ".js":
        return None
    with open(path, "rb") as file:
        head = file.read(64)
    if not head.startswith(b"window.YTD."):
        return None
    return "posts" if head.startswith((b"window.YTD.tweet.", b"window.YTD.tweets.")) else "private"


def _source_file(path: Path, name: str, kind: Kind, lenient: bool) -> SourceFile:
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return SourceFile(str(path), name, kind, file.tell(), digest, lenient)
