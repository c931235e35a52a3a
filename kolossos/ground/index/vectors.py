"""Vectors of passages on the disk: immutable usearch files, mapped by readers, joined as they grow in number.

A file is listed (segments.json) before the words of its passages are committed. A vector whose passage is not in the
lexical index, because that commit never came or because the passage was deleted, is never shown: it is left behind
when files are joined.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.files import UNFINISHED_SUFFIX, write_whole
from kolossos.ground.library import usearch_index

SEGMENTS = "segments.json"
MOST_FILES = 8
MOST_FILES_MEANWHILE = 40  # while more are coming
EXACT_BELOW = 20_000  # so few vectors are all compared: exact, and a matter of milliseconds
TRIES = 5  # to open files of a list that a writer replaces at the same time


@dataclass(frozen=True)
class Segment:
    """A listed file."""

    name: str
    count: int


def read_segments(folder: Path) -> list[Segment]:
    """The files that count; none if there are no vectors yet."""
    try:
        return [Segment(str(name), int(count)) for name, count in json.loads((folder / SEGMENTS).read_bytes())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError):
        raise InputError(f"{folder / SEGMENTS} is broken; make the index again") from None


class VectorWriter:
    """Adds files of vectors and joins them; for the one writer of an index."""

    def __init__(self, folder: Path, dimensions: int) -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._dimensions = folder, dimensions
        self._segments = read_segments(folder)
        listed = {segment.name for segment in self._segments}
        for path in folder.glob("vectors-*"):
            if path.name not in listed:
                path.unlink()
        numbers = [int(segment.name.split("-")[1].split(".")[0]) for segment in self._segments]
        self._next = max(numbers, default=0) + 1

    def add(self, keys: Sequence[int], vectors: np.ndarray) -> None:
        """Keep vectors [keys, dimensions]; durable when this returns."""
        if len(keys):
            self._list([*self._segments, self._write(np.asarray(keys, np.uint64), vectors)])

    def join(self, alive: Callable[[list[int]], set[int]], most_files: int = MOST_FILES) -> None:
        """Where there are too many files, make one of the small ones; ``alive`` says which passages still are."""
        if len(self._segments) <= most_files:
            return
        order = sorted(self._segments, key=lambda segment: segment.count)
        self._join(self._small(order), alive)

    def forget(self, alive: Callable[[list[int]], set[int]]) -> None:
        """Make one file of all that is still there."""
        self._join(list(self._segments), alive)

    def __len__(self) -> int:
        """Vectors on the disk, those of deleted passages included."""
        return sum(segment.count for segment in self._segments)

    @staticmethod
    def _small(order: list[Segment]) -> list[Segment]:
        """The smallest files, none much larger than all smaller ones together."""
        small, total = order[:2], order[0].count + order[1].count
        for segment in order[2:]:
            if segment.count > 2 * total:
                break
            small.append(segment)
            total += segment.count
        return small

    def _join(self, small: list[Segment], alive: Callable[[list[int]], set[int]]) -> None:
        keys, vectors = self._content(small, alive)
        kept = [segment for segment in self._segments if segment not in small]
        self._list([*kept, self._write(keys, vectors)] if len(keys) else kept)
        for segment in small:
            (self._folder / segment.name).unlink(missing_ok=True)

    def _content(
        self, segments: Sequence[Segment], alive: Callable[[list[int]], set[int]]
    ) -> tuple[np.ndarray, np.ndarray]:
        all_keys, all_vectors, seen = [], [], set()
        for segment in segments:
            index = _opened(self._folder / segment.name)
            keys = [int(key) for key in np.asarray(index.keys) if int(key) not in seen]
            living = alive(keys)
            keys = [key for key in keys if key in living]
            seen.update(keys)
            if keys:
                all_keys.append(np.asarray(keys, np.uint64))
                all_vectors.append(np.stack(index.get(all_keys[-1])))
        if not all_keys:
            return np.zeros(0, np.uint64), np.zeros((0, self._dimensions), np.float32)
        return np.concatenate(all_keys), np.concatenate(all_vectors)

    def _write(self, keys: np.ndarray, vectors: np.ndarray) -> Segment:
        index = usearch_index().Index(ndim=self._dimensions, metric="ip", dtype="f16")
        index.add(keys, np.ascontiguousarray(vectors))
        name = f"vectors-{self._next:06d}.usearch"
        self._next += 1
        beside = self._folder / (name + UNFINISHED_SUFFIX)
        index.save(str(beside))
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, self._folder / name)
        return Segment(name, len(keys))

    def _list(self, segments: list[Segment]) -> None:
        write_whole(self._folder / SEGMENTS, json.dumps([[s.name, s.count] for s in segments]))
        self._segments = segments


class VectorReader:
    """The vectors as they are listed now; files are mapped, not read."""

    def __init__(self, folder: Path) -> None:
        self._indexes: list[Any] = []
        for left in reversed(range(TRIES)):
            try:
                self._indexes = [_opened(folder / segment.name) for segment in read_segments(folder)]
                break
            except FileNotFoundError as error:
                if not left:
                    raise InputError(f"{error.filename} is missing; make the index again") from None

    def __len__(self) -> int:
        return sum(len(index) for index in self._indexes)

    def nearest(self, vector: np.ndarray, count: int) -> list[int]:
        """The passages whose vectors are nearest to ``vector``, the nearest first: approximate where there are many."""
        found: dict[int, float] = {}
        for index in self._indexes:
            exact = len(index) < EXACT_BELOW
            matches = index.search(vector, min(count, len(index)), exact=exact)
            for key, distance in zip(matches.keys.tolist(), matches.distances.tolist(), strict=True):
                found[key] = min(distance, found.get(key, 2.0))
        return sorted(found, key=lambda key: (found[key], key))[:count]

    def similarity(self, vector: np.ndarray, passages: Sequence[int]) -> dict[int, float]:
        """The cosine of ``vector`` and the vector of each passage that has one."""
        wanted = np.asarray(passages, np.uint64)
        found: dict[int, float] = {}
        for index in self._indexes:
            here = wanted[np.asarray(index.contains(wanted), bool)] if len(wanted) else wanted
            if len(here):
                rows = np.stack(index.get(here)).astype(np.float32)
                cosines = rows @ vector / np.maximum(np.linalg.norm(rows, axis=1), 1e-9)
                found |= dict(zip(here.tolist(), cosines.tolist(), strict=True))
        return found


def _opened(path: Path) -> Any:
    if not path.exists():
        raise FileNotFoundError(2, "no such file", str(path))
    try:
        index = usearch_index().Index.restore(str(path), view=True)
    except Exception as error:  # usearch raises plain RuntimeErrors
        raise InputError(f"{path} is broken ({' '.join(str(error).split())}); make the index again") from None
    if index is None:
        raise InputError(f"{path} is broken; make the index again")
    return index
