"""Where an index is kept, seen by what fills it: batches in, each there to stay when `write` returns."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from kolossos.ground.source import Source

Batch = TypeVar("Batch")


@dataclass
class Counts:
    """What became of sources."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0

    def __iadd__(self, other: "Counts") -> "Counts":
        self.added += other.added
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.removed += other.removed
        return self


class Store(Protocol):
    """An index to write to. One process at a time writes; others may read meanwhile."""

    @property
    def embedded(self) -> bool:
        """Whether vectors are kept, which take longer to make than words."""
        ...

    def writing(self) -> AbstractContextManager["StoreWriter"]:
        """Be the one who writes; InputError if another process is."""
        ...


class StoreWriter(Protocol):
    """What the one who writes can do. Whatever a call did is acknowledged, durable and searchable, when it returns."""

    def write(self, sources: Sequence[Source], origin: str) -> Counts:
        """Add sources, and put those whose key is known in the place of what was there. ``origin``: the input."""
        ...

    def delete(self, keys: Sequence[str] = (), author: str = "") -> int:
        """Remove sources by key, or all of an author; how many there were."""
        ...

    def keep_only(self, origin: str, seen: Sequence[np.ndarray]) -> int:
        """Remove what came from ``origin`` and has no key number in ``seen``; how many there were."""
        ...

    def finish(self) -> None:
        """Tidy up, after all is written."""
        ...


def ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, each read while the one before is written: a commit waits for the disk, and reading need not."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


def batches(sources: Iterator[Source], most: int, most_characters: int) -> Iterator[list[Source]]:
    """Sources in batches that fit in memory."""
    batch: list[Source] = []
    characters = 0
    for source in sources:
        batch.append(source)
        characters += len(source.text)
        if len(batch) >= most or characters >= most_characters:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
