"""Token shards on the disk: ``train-00000.bin`` (token ids) beside ``train-00000.idx.npy`` (where documents end).

Beside them lies the table of the same documents (``documents.py``).

Tokens are little-endian uint16 (uint32 for a vocabulary over 65,536). Every document ends with the end token and lies
in one shard; a shard closes with the document that reaches the shard size. The index is int64 (documents, 2): the
token offset behind the document's end token, and the bytes of its text.
"""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kolossos.data.corpus.documents import DocumentRecord, DocumentTableWriter
from kolossos.data.corpus.manifest import (
    ShardRecord,
    SplitName,
    SplitRecord,
    documents_file,
    index_file,
    tokens_file,
)
from kolossos.files import sha256_of, whole_file, write_whole


def token_dtype_name(vocab_size: int) -> Literal["uint16", "uint32"]:
    """The narrowest type that holds every id of a vocabulary."""
    return "uint16" if vocab_size <= 1 << 16 else "uint32"


def token_dtype(name: str) -> np.dtype:
    """The type as it lies on the disk: little-endian on every machine."""
    return np.dtype(name).newbyteorder("<")


class ShardWriter:
    """Writes the shards of one split in order, each whole or not at all; goes on where an interrupted run stopped.

    To be used in a ``with`` statement. A finished shard leaves a record in ``work``. A writer that finds records takes
    those shards as done and skips as many of the documents it is given as they hold.
    """

    def __init__(
        self, folder: Path, work: Path, split: SplitName, *, dtype: str, eos_id: int, shard_tokens: int
    ) -> None:
        self._folder, self._work, self._split = folder, work, split
        self._dtype, self._eos_id, self._shard_tokens = token_dtype(dtype), eos_id, shard_tokens
        self._shards: list[ShardRecord] = []
        while (record := self._record_path(len(self._shards))).exists():
            self._shards.append(ShardRecord.model_validate_json(record.read_bytes()))
        self.documents_to_skip = sum(shard.documents for shard in self._shards)
        self._open: _OpenShard | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._open is not None:
            self._open.abandon(*error)

    def add(self, ids: Sequence[int], n_bytes: int, document: DocumentRecord) -> None:
        """Append one document: its token ids without an end token, the bytes of its text, and its row of the table."""
        if self._open is None:
            self._open = _OpenShard(self._folder, f"{self._split}-{len(self._shards):05d}", self._dtype)
        self._open.add([*ids, self._eos_id], n_bytes, document)
        if self._open.n_tokens >= self._shard_tokens:
            self._close_shard()

    def finish(self) -> SplitRecord:
        """Close the last shard and sum up the split."""
        if self._open is not None:
            self._close_shard()
        shards = self._shards
        return SplitRecord(
            documents=sum(shard.documents for shard in shards),
            tokens=sum(shard.tokens for shard in shards),
            bytes=sum(shard.bytes for shard in shards),
            shards=shards,
        )

    def _close_shard(self) -> None:
        assert self._open is not None
        number = len(self._shards)
        name = f"{self._split}-{number:05d}"
        index = np.array(self._open.index, dtype="<i8").reshape(-1, 2)
        with whole_file(self._folder / index_file(name)) as file:
            np.save(file, index)
        self._open.close()
        record = ShardRecord(
            name=name,
            documents=len(index),
            tokens=self._open.n_tokens,
            bytes=int(index[:, 1].sum()),
            sha256=self._open.sha256.hexdigest(),
            index_sha256=sha256_of(self._folder / index_file(name)),
            documents_sha256=sha256_of(self._folder / documents_file(name)),
        )
        write_whole(self._record_path(number), record.model_dump_json())
        self._shards.append(record)
        self._open = None

    def _record_path(self, number: int) -> Path:
        return self._work / f"{self._split}-{number:05d}.json"


class _OpenShard:
    """A shard being written: its files under names beside the final ones, its index still in memory."""

    def __init__(self, folder: Path, name: str, dtype: np.dtype) -> None:
        self._dtype = dtype
        self._stack = ExitStack()
        self._file = self._stack.enter_context(whole_file(folder / tokens_file(name)))
        self._table = DocumentTableWriter(folder / documents_file(name))
        self.sha256 = hashlib.sha256()
        self.index: list[tuple[int, int]] = []
        self.n_tokens = 0

    def add(self, ids: Sequence[int], n_bytes: int, document: DocumentRecord) -> None:
        content = np.asarray(ids, dtype=self._dtype).tobytes()
        self._file.write(content)
        self.sha256.update(content)
        self.n_tokens += len(ids)
        self.index.append((self.n_tokens, n_bytes))
        self._table.add(document)

    def close(self) -> None:
        self._stack.close()
        self._table.close()

    def abandon(self, *error: Any) -> None:
        self._stack.__exit__(*error)
        self._table.abandon(*error)
