"""What a data format is: how to know its files, read their documents and share out the work."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Literal

from kolossos.data.document import Document, LeftOut
from kolossos.errors import InputError

UNREADABLE_IN_FOLDER = Literal["skip", "refuse"]


class NotThisFormat(InputError):
    """A file that turns out not to be of its format; if it was found in a folder it may be skipped and counted.

    ``kind`` is what it is instead, where that is known, to be counted by.
    """

    def __init__(self, message: str, kind: str | None = None) -> None:
        super().__init__(message, kind)  # both, so that it travels between processes
        self.kind = kind

    def __str__(self) -> str:
        return self.args[0]


class Claim(IntEnum):
    """How sure a format is that a file is its own; the surest one reads it."""

    NONE = 0
    FALLBACK = 1  # the person named this file, and nobody knows its ending
    ENDING = 2
    CONTENT = 3


@dataclass(frozen=True)
class Part:
    """A piece of a file that can be read alone: the half-open range ``start:stop`` in the format's own unit."""

    start: int
    stop: int
    size_bytes: int


class Format(ABC):
    """A kind of file that holds documents.

    Attributes:
        name: as it is written in messages.
        described: what is read, for the sentence that lists what can be read.
        disk_bytes_per_byte: what preparation takes on the disk (texts, sketches, tokens) for each byte of a file.
        unreadable_in_folder: whether a file found in a folder that is not of this format after all is skipped and
            counted, or refused. One that was named itself is always refused.
        may_abort: whether a damaged file can end the process that reads it, so that it must be another one.
    """

    name: ClassVar[str]
    described: ClassVar[str]
    disk_bytes_per_byte: ClassVar[float]
    unreadable_in_folder: ClassVar[UNREADABLE_IN_FOLDER] = "refuse"
    may_abort: ClassVar[bool] = False

    @abstractmethod
    def claim(self, path: Path, named: bool) -> Claim:
        """Whether the file is of this format. ``named``: the person named it, it was not found in a folder."""

    @abstractmethod
    def read(self, path: Path, text_key: str, part: Part | None) -> Iterator[Document | LeftOut]:
        """The documents of a file (of a part of it) in order, one (or a few) in memory at a time, and what is left out.

        Args:
            path: a file that this format claims.
            text_key: the key or column that holds the text, where texts have one.
            part: one of those from `parts`; None: the whole file.

        Raises:
            NotThisFormat: the file is something else.
            InputError: a damaged file, or one without the text key.
        """

    def private(self, path: Path) -> str | None:
        """Why a claimed file must not be read, if it holds what is nobody else's business; None if it may be."""
        return None

    def owns_folder(self, folder: Path) -> bool:
        """Whether a folder is of this format as a whole, so that no other format reads anything in it."""
        return False

    def parts(self, path: Path, about_bytes: int) -> Sequence[Part]:
        """The file cut into parts of about this size, so that several processes read it; none: read it in one piece."""
        return ()
