"""Writing to an index in a folder.

A batch is acknowledged when its vectors are on the disk and its words are committed there (tantivy flushes its files
and then renames a new list of them into place): a process killed at any moment leaves what was acknowledged, and of
the rest either a whole batch or nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kolossos.errors import InputError
from kolossos.files import UNFINISHED_SUFFIX, disk_has_room, write_failure
from kolossos.ground.embed import Embedder
from kolossos.ground.index.lexical import (
    all_sources,
    among,
    deleted_share,
    numbers,
    open_lexical,
    remove_other_generations,
)
from kolossos.ground.index.manifest import (
    DENSE,
    LOCK,
    MANIFEST,
    Manifest,
    only_writer,
    read_manifest,
    write_manifest,
)
from kolossos.ground.index.model import embedded_text, embedder_for, model_of
from kolossos.ground.index.records import digest_number, key_number, pack
from kolossos.ground.index.schema import documents, folded
from kolossos.ground.index.vectors import MOST_FILES_MEANWHILE, VectorWriter
from kolossos.ground.library import tantivy
from kolossos.ground.passages import passages
from kolossos.ground.source import Passage, Source
from kolossos.ground.store import Counts
from kolossos.ground.words import stemmed_as

MEMORY_BYTES = 256 << 20  # of the writer's threads together
THREADS = 2
MOST_DELETED = 0.1  # a larger share of deleted passages is copied away at the end
BEGUN = {LOCK, Manifest().lexical, MANIFEST + UNFINISHED_SUFFIX}  # what a process leaves that was ended at once


class FolderStore:
    """An index in a folder, made if there is none."""

    def __init__(self, folder: Path, model_folder: Path | None = None) -> None:
        """Prepare to write. ``model_folder``: a sentence-embedding model for a new index; an old one keeps its own.

        Raises:
            InputError: something else is in the folder, or the model is not the index's.
        """
        self._folder = folder
        if (folder / MANIFEST).exists():
            self._manifest, self._new = read_manifest(folder), False
        else:
            if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - BEGUN):
                raise InputError(f"{folder} exists and holds no index; give an empty folder or a new name")
            self._manifest, self._new = Manifest(), True
        self._embedder = embedder_for(str(folder), self._manifest.model, model_folder, self._new)
        if self._new:
            self._manifest = Manifest(model=model_of(self._embedder))

    @property
    def embedded(self) -> bool:
        """Whether vectors are kept."""
        return self._embedder is not None

    @contextmanager
    def writing(self) -> Iterator["FolderWriter"]:
        """Hold the index for writing."""
        tantivy()
        with _disk(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        with only_writer(self._folder):
            if self._new:
                if (self._folder / MANIFEST).exists():
                    raise InputError(f"{self._folder} was made by another process meanwhile; run it again")
                open_lexical(self._folder / self._manifest.lexical, make=True)
                with _disk(self._folder):
                    write_manifest(self._folder, self._manifest)
            writer = FolderWriter(self._folder, self._embedder)
            try:
                yield writer
            finally:
                writer.close()


class FolderWriter:
    """The one who writes to a folder."""

    def __init__(self, folder: Path, embedder: Embedder | None) -> None:
        self._folder, self._embedder = folder, embedder
        self._manifest = read_manifest(folder)
        remove_other_generations(folder, self._manifest.lexical)
        self._vectors = VectorWriter(folder / DENSE, embedder.dimensions) if embedder else None
        self._writer: Any = None
        self._open()

    def _open(self) -> None:
        self._index = open_lexical(self._folder / self._manifest.lexical)
        with _disk(self._folder):
            self._writer = self._index.writer(MEMORY_BYTES, THREADS)

    def close(self) -> None:
        """Let go; what was not committed is forgotten."""
        self._writer = None

    def write(self, sources: Sequence[Source], origin: str) -> Counts:
        """See `StoreWriter`; of sources with one key the last counts."""
        latest = {source.key: source for source in sources}
        packed = {key: pack(source) for key, source in latest.items()}
        digests = {key: digest_number(content) for key, content in packed.items()}
        numbers_of = {key: key_number(key) for key in latest}
        known = self._known(list(numbers_of.values()))
        fresh = [key for key in latest if known.get(numbers_of[key]) != digests[key]]
        counts = Counts(unchanged=len(latest) - len(fresh))
        if not fresh:
            return counts
        self._remove([numbers_of[key] for key in fresh if numbers_of[key] in known])
        new: list[tuple[int, Passage]] = []
        with _disk(self._folder):
            for key in fresh:  # tantivy's threads work on what was added while the next is made
                number, cut = numbers_of[key], passages(latest[key])
                if not cut:
                    counts.removed += number in known
                    continue
                numbered = documents(cut, packed[key], number, digests[key], origin)
                for _, document in numbered:
                    self._writer.add_document(document)
                if number in known:
                    counts.changed += 1
                else:
                    counts.added += 1
                if self._vectors is not None:
                    new += [(place, passage) for (place, _), passage in zip(numbered, cut, strict=True)]
        self._keep_vectors(new)
        self._keep_languages({stemmed_as(latest[key].language) for key in fresh})
        self._commit()
        if self._vectors is not None:
            self._vectors.join(self._alive, MOST_FILES_MEANWHILE)
        return counts

    def delete(self, keys: Sequence[str] = (), author: str = "") -> int:
        """See `StoreWriter`."""
        before = self._count()
        self._remove([key_number(key) for key in keys])
        if author:
            query = tantivy().Query.term_query(self._index.schema, "author", folded(author), "basic")
            self._writer.delete_documents_by_query(query)
        self._commit()
        return before - self._count()

    def keep_only(self, origin: str, seen: Sequence[np.ndarray]) -> int:
        """See `StoreWriter`."""
        library, schema = tantivy(), self._index.schema
        query = library.Query.boolean_query(
            [
                (library.Occur.Must, library.Query.term_query(schema, "origin", origin, "basic")),
                (library.Occur.Must, library.Query.term_query(schema, "first", 1)),
            ]
        )
        present = np.array([key for (key,) in numbers(self._index.searcher(), query, ["key"])], np.uint64)
        gone = np.setdiff1d(present, np.concatenate([*seen, np.zeros(0, np.uint64)]))
        self._remove(gone.tolist())
        if len(gone):
            self._commit()
        return len(gone)

    def finish(self) -> None:
        """Join files of vectors, and copy the words without what was deleted, if that is much: then results are those
        of an index made from scratch."""
        if self._vectors is not None:
            self._vectors.join(self._alive)
            if len(self._vectors) * (1 - MOST_DELETED) > self._index.searcher().num_docs:
                self._vectors.forget(self._alive)
        if deleted_share(self._folder / self._manifest.lexical) > MOST_DELETED:
            self._copy()

    def _remove(self, keys: list[int]) -> None:
        """Remove what is in the index with these key numbers, at the next commit."""
        if keys:
            self._writer.delete_documents_by_query(among(self._index.schema, "key", keys))

    def _copy(self) -> None:
        """The words of all that is left as a new generation, which takes the place of this one at once."""
        following = self._manifest.next_generation()
        self._writer.wait_merging_threads()
        searcher, schema = self._index.searcher(), self._index.schema
        copy = open_lexical(self._folder / following.lexical, make=True)
        writer = copy.writer(MEMORY_BYTES, THREADS)
        for source, origin in all_sources(searcher, schema):
            packed = pack(source)
            made = documents(passages(source), packed, key_number(source.key), digest_number(packed), origin)
            for _, document in made:
                writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        write_manifest(self._folder, following)
        self._manifest = following
        self._writer = None
        remove_other_generations(self._folder, following.lexical)
        self._open()

    def _known(self, keys: list[int]) -> dict[int, int]:
        """The digest of each key that is in the index."""
        searcher = self._index.searcher()
        if not searcher.num_docs:
            return {}
        return {key: digest for key, digest in numbers(searcher, among(self._index.schema, "key", keys), _KNOWN)}

    def _alive(self, passage_numbers: list[int]) -> set[int]:
        query = among(self._index.schema, "passage", passage_numbers)
        return {number for (number,) in numbers(self._index.searcher(), query, ["passage"])}

    def _keep_vectors(self, new: list[tuple[int, Passage]]) -> None:
        if self._vectors is not None and self._embedder:
            with disk_has_room(self._folder, 2 * len(new) * self._embedder.dimensions):
                texts = [embedded_text(passage) for _, passage in new]
                self._vectors.add([number for number, _ in new], self._embedder.passages(texts))

    def _keep_languages(self, languages: set[str]) -> None:
        if not languages <= set(self._manifest.languages):
            self._manifest = self._manifest.with_languages(languages)
            write_manifest(self._folder, self._manifest)

    def _commit(self) -> None:
        with _disk(self._folder):
            self._writer.commit()
        self._index.reload()

    def _count(self) -> int:
        """Sources in the index."""
        query = tantivy().Query.term_query(self._index.schema, "first", 1)
        return self._index.searcher().search(query, 1, count=True).count


_KNOWN = ("key", "digest")


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """What cannot be written is an InputError; tantivy raises ValueErrors for what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{folder}: {write_failure(error)}") from None
    except ValueError as error:
        raise InputError(f"{folder} cannot be written: {' '.join(str(error).split())[:200]}") from None
