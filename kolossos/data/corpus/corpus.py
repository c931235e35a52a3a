"""A prepared folder, opened for reading: its manifest, splits, tokenizer and table of documents."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kolossos.data.corpus.documents import DocumentRecord, DocumentTable
from kolossos.data.corpus.manifest import (
    MANIFEST_FILE,
    VALIDATION_TEXT_FILE,
    Manifest,
    ShardRecord,
    SplitName,
    SplitRecord,
    documents_file,
    index_file,
    tokens_file,
)
from kolossos.data.corpus.shards import token_dtype
from kolossos.data.corpus.token_split import TokenSplit
from kolossos.data.tokenizer import TOKENIZER_FILE, Tokenizer
from kolossos.errors import InputError, nearest
from kolossos.files import sha256_of
from kolossos.stores import Store, cache_folder, open_store


@dataclass(frozen=True)
class Corpus:
    """The folder, its manifest, and its two splits."""

    folder: Path
    manifest: Manifest
    _tables: dict[str, DocumentTable] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: str | Path, tokenizer: Tokenizer | None = None) -> "Corpus":
        """Open a prepared folder. One in a store elsewhere is copied into the cache of this machine on first use.

        Args:
            folder: what ``kolossos data prepare`` made: a folder, or a URL that fsspec opens.
            tokenizer: the one the data will be used with, to be checked; None checks nothing.

        Raises:
            InputError: no or a damaged manifest, a shard that is missing or cut off, another tokenizer.
        """
        store = open_store(folder)
        manifest = Manifest.read(store)
        corpus = cls(store.local or _local_copy(store, manifest), manifest)
        for split in corpus.manifest.splits.values():
            for shard in split.shards:
                corpus._check_size(shard)
        expected = corpus.manifest.tokenizer.sha256
        if tokenizer is not None and tokenizer.sha256 != expected:
            raise InputError(
                f"the tokenizer does not match the data: {folder} was made with another one (sha256 {expected[:12]}, "
                f"not {tokenizer.sha256[:12]}); use {corpus.tokenizer_path} or prepare the data with it"
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
        """The tokenizer that the data was made with; InputError if it takes another end token than the data has."""
        made = Tokenizer.load(self.tokenizer_path)
        if made.eos_id != (expected := self.manifest.tokenizer.eos_id):
            raise InputError(
                f"{self.tokenizer_path} ends texts with token {made.eos_id}, the data with {expected}: the "
                f"tokenizer_config.json that names the end token is missing beside it"
            )
        return made

    def split(self, name: SplitName) -> "TokenSplit":
        """``train`` or ``validation``; InputError for another name."""
        return TokenSplit(self.folder, name, self._record(name), self.manifest.dtype, self.manifest.tokenizer.eos_id)

    def document(self, split: SplitName, index: int) -> DocumentRecord:
        """What is known of document ``index`` of a split: the numbers are those of `TokenSplit.documents`.

        Raises:
            InputError: the data was prepared before there was a table of documents; or it is missing.
        """
        if index < 0:
            raise IndexError(f"document {index} of {split}")
        first = 0
        for shard in self._record(split).shards:
            if index < first + shard.documents:
                return self._table(shard).row(index - first)
            first += shard.documents
        raise IndexError(f"document {index} of {split}, which has {first}")

    def documents(self, split: SplitName) -> Iterator[DocumentRecord]:
        """What is known of all documents of a split, in their order."""
        for shard in self._record(split).shards:
            yield from self._table(shard).rows()

    def verify(self) -> None:
        """Read every file and compare it with the manifest's hash; InputError names the first that is damaged."""
        for name, sha256 in self.manifest.file_hashes().items():
            path = self.folder / name
            if not path.exists():
                raise InputError(f"{path} is missing; prepare the data again")
            if sha256_of(path) != sha256:
                raise InputError(f"{path} is damaged: its sha256 is not the manifest's; prepare the data again")

    def _record(self, split: SplitName) -> SplitRecord:
        if split not in self.manifest.splits:
            raise InputError(f"{self.folder} has no split {split!r}{nearest(split, self.manifest.splits)}")
        return self.manifest.splits[split]

    def _table(self, shard: ShardRecord) -> DocumentTable:
        path = self.folder / documents_file(shard.name)
        if shard.documents_sha256 is None:
            raise InputError(
                f"{self.folder} has no table of documents (it was made before there was one); prepare it again"
            )
        if not path.exists():
            raise InputError(f"{path} is missing; prepare the data again")
        if shard.name not in self._tables:
            self._tables[shard.name] = DocumentTable(path)
        return self._tables[shard.name]

    def _check_size(self, shard: ShardRecord) -> None:
        path = self.folder / tokens_file(shard.name)
        expected = shard.tokens * token_dtype(self.manifest.dtype).itemsize
        if not path.exists() or not (self.folder / index_file(shard.name)).exists():
            raise InputError(f"shard {path} or its index is missing; prepare the data again")
        if path.stat().st_size != expected:
            raise InputError(f"{path} is damaged: {path.stat().st_size} bytes, not {expected}; prepare the data again")


def _local_copy(store: Store, manifest: Manifest) -> Path:
    """The folder in the cache that holds this very data (its name is the manifest's hash), filled if it is not yet."""
    content = manifest.json_text()
    folder = cache_folder() / "corpus" / hashlib.sha256(content.encode()).hexdigest()[:32]
    try:
        store.make_local([*manifest.file_hashes(), MANIFEST_FILE], folder)
    except OSError as error:
        raise InputError(f"{store} cannot be copied to {folder}: {error}") from error
    return folder
