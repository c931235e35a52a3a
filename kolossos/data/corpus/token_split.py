"""The tokens of one split as memory maps, cut into windows of any length."""

from pathlib import Path

import numpy as np

from kolossos.data.corpus.manifest import SplitName, SplitRecord, index_file, tokens_file
from kolossos.data.corpus.shards import token_dtype
from kolossos.errors import InputError


class TokenSplit:
    """The tokens of one split. Window ``i`` of length S is tokens i*S to i*S + S inclusive of a shard: S inputs and,
    shifted by one, S targets. Windows do not cross shards; a shard's last few tokens may be in none.
    """

    def __init__(self, folder: Path, name: SplitName, record: SplitRecord, dtype: str, eos_id: int) -> None:
        self.name, self.eos_id = name, eos_id
        self.n_tokens, self.n_bytes, self.n_documents = record.tokens, record.bytes, record.documents
        disk_dtype = token_dtype(dtype)
        self._tokens = [np.memmap(folder / tokens_file(s.name), disk_dtype, "r") for s in record.shards]
        self._ends = [np.load(folder / index_file(s.name), mmap_mode="r")[:, 0] for s in record.shards]
        self._first_document = np.cumsum([0, *(s.documents for s in record.shards)])
        self._first_token = np.cumsum([0, *(s.tokens for s in record.shards)])

    def n_windows(self, seq_len: int) -> int:
        """How many windows of ``seq_len`` inputs there are."""
        return int(self._first_window(seq_len)[-1])

    def window(self, index: int, seq_len: int) -> np.ndarray:
        """Token ids (seq_len + 1,) int64 of one window."""
        return self.windows(np.array([index]), seq_len)[0]

    def windows(self, indices: np.ndarray, seq_len: int) -> np.ndarray:
        """Token ids (n, seq_len + 1) int64 of the windows ``indices`` (n,)."""
        tokens = np.empty((len(indices), seq_len + 1), dtype=np.int64)
        for shard, rows, starts in self._by_shard(indices, seq_len):
            tokens[rows] = self._tokens[shard][starts[:, None] + np.arange(seq_len + 1)]
        return tokens

    def documents(self, indices: np.ndarray, seq_len: int) -> np.ndarray:
        """Document numbers (n, seq_len) int32: for each position of a window the document its *target* belongs to.

        So the end token before a document is that document's first input, as in generation, and no position sees
        another document when attention stays within equal numbers.
        """
        numbers = np.empty((len(indices), seq_len), dtype=np.int32)
        for shard, rows, starts in self._by_shard(indices, seq_len):
            targets = starts[:, None] + np.arange(1, seq_len + 1)
            numbers[rows] = self._first_document[shard] + np.searchsorted(self._ends[shard], targets, side="right")
        return numbers

    def stream(self, start: int, stop: int) -> np.ndarray:
        """Token ids (stop - start,) int64 at these offsets of the whole split, across shards."""
        pieces = [np.empty(0, dtype=np.int64)]
        for tokens, first in zip(self._tokens, self._first_token, strict=False):
            low, high = max(start - first, 0), min(stop - first, len(tokens))
            if low < high:
                pieces.append(tokens[low:high].astype(np.int64))
        return np.concatenate(pieces)

    def documents_of_stream(self, start: int, stop: int) -> np.ndarray:
        """The document number (stop - start,) int32 of each token at these offsets of the whole split."""
        pieces = [np.empty(0, dtype=np.int32)]
        for shard, (ends, first) in enumerate(zip(self._ends, self._first_token, strict=False)):
            low, high = max(start - first, 0), min(stop - first, int(self._first_token[shard + 1] - first))
            if low < high:
                numbers = self._first_document[shard] + np.searchsorted(ends, np.arange(low, high), side="right")
                pieces.append(numbers.astype(np.int32))
        return np.concatenate(pieces)

    def _first_window(self, seq_len: int) -> np.ndarray:
        """The number of the first window of each shard, and at the end that of all windows."""
        if seq_len < 1:
            raise InputError(f"seq_len {seq_len} is out of range: it must be 1 or more")
        return np.cumsum([0, *((len(tokens) - 1) // seq_len for tokens in self._tokens)])

    def _by_shard(self, indices: np.ndarray, seq_len: int):
        """For each shard in use: its number, the rows of ``indices`` that it serves, and their first token offsets."""
        indices = np.asarray(indices)
        first_window = self._first_window(seq_len)
        if indices.size and not 0 <= indices.min() <= indices.max() < first_window[-1]:
            raise IndexError(f"window numbers must be in [0, {first_window[-1]})")
        shards = np.searchsorted(first_window, indices, side="right") - 1
        for shard in np.unique(shards):
            rows = np.flatnonzero(shards == shard)
            yield int(shard), rows, (indices[rows] - first_window[shard]) * seq_len
