"""A prepared folder, opened for reading: token shards as memory maps, cut into windows of any length."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kolossos.data.manifest import VALIDATION_TEXT_FILE, Manifest, ShardRecord, SplitName, SplitRecord
from kolossos.data.shards import index_path, token_dtype, tokens_path
from kolossos.data.tokenizer import TOKENIZER_FILE, Tokenizer
from kolossos.errors import InputError, nearest
from kolossos.files import sha256_of


@dataclass(frozen=True)
class Corpus:
    """The folder, its manifest, and its two splits."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path, tokenizer: Tokenizer | None = None) -> "Corpus":
        """Open a prepared folder.

        Args:
            folder: what ``kolossos data prepare --out`` made.
            tokenizer: the one the data will be used with, to be checked; None checks nothing.

        Raises:
            InputError: no or a damaged manifest, a shard that is missing or cut off, another tokenizer.
        """
        corpus = cls(Path(folder), Manifest.read(Path(folder)))
        for split in corpus.manifest.splits.values():
            for shard in split.shards:
                corpus._check_size(shard)
        expected = corpus.manifest.tokenizer.sha256
        if tokenizer is not None and tokenizer.sha256 != expected:
            raise InputError(
                f"the tokenizer does not match the data: {folder} was made with another one (sha256 {expected[:12]}, "
                f"not {tokenizer.sha256[:12]}); use {corpus.tokenizer_path} or prepare the data with --tokenizer"
            )
        return corpus

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / TOKENIZER_FILE

    @property
    def validation_text_path(self) -> Path:
        """The held-out documents as plain text."""
        return self.folder / VALIDATION_TEXT_FILE

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the data was made with."""
        return Tokenizer.load(self.tokenizer_path)

    def split(self, name: SplitName) -> "TokenSplit":
        """``train`` or ``validation``; InputError for another name."""
        if name not in self.manifest.splits:
            raise InputError(f"{self.folder} has no split {name!r}{nearest(name, self.manifest.splits)}")
        record = self.manifest.splits[name]
        return TokenSplit(self.folder, name, record, self.manifest.dtype, self.manifest.tokenizer.eos_id)

    def verify(self) -> None:
        """Read every file and compare it with the manifest's hash; InputError names the first that is damaged."""
        expected = {
            self.tokenizer_path: self.manifest.tokenizer.sha256,
            self.folder / VALIDATION_TEXT_FILE: self.manifest.validation_text_sha256,
        }
        for split in self.manifest.splits.values():
            for shard in split.shards:
                expected[tokens_path(self.folder, shard.name)] = shard.sha256
                expected[index_path(self.folder, shard.name)] = shard.index_sha256
        for path, sha256 in expected.items():
            if not path.exists():
                raise InputError(f"{path} is missing; prepare the data again")
            if sha256_of(path) != sha256:
                raise InputError(f"{path} is damaged: its sha256 is not the manifest's; prepare the data again")

    def _check_size(self, shard: ShardRecord) -> None:
        path = tokens_path(self.folder, shard.name)
        expected = shard.tokens * token_dtype(self.manifest.dtype).itemsize
        if not path.exists() or not index_path(self.folder, shard.name).exists():
            raise InputError(f"shard {path} or its index is missing; prepare the data again")
        if path.stat().st_size != expected:
            raise InputError(f"{path} is damaged: {path.stat().st_size} bytes, not {expected}; prepare the data again")


class TokenSplit:
    """The tokens of one split. Window ``i`` of length S is tokens i*S to i*S + S inclusive of a shard: S inputs and,
    shifted by one, S targets. Windows do not cross shards; a shard's last few tokens may be in none.
    """

    def __init__(self, folder: Path, name: SplitName, record: SplitRecord, dtype: str, eos_id: int) -> None:
        self.name, self.eos_id = name, eos_id
        self.n_tokens, self.n_bytes, self.n_documents = record.tokens, record.bytes, record.documents
        disk_dtype = token_dtype(dtype)
        self._tokens = [np.memmap(tokens_path(folder, s.name), disk_dtype, "r") for s in record.shards]
        self._ends = [np.load(index_path(folder, s.name), mmap_mode="r")[:, 0] for s in record.shards]
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
