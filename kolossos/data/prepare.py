"""``kolossos data prepare``: sources in, a folder of token shards out, complete or not there.

Stages (``tokens/stages.py``): gather -> decide -> tokenizer -> shards -> manifest. Each leaves whole files in
``OUT.partial``, so that the same command run again goes on where an interrupted one stopped and ends with the same
bytes. For a store elsewhere the folder is made in the cache of this machine, then put there, its manifest last.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kolossos.data.corpus.manifest import MANIFEST_FILE, Manifest
from kolossos.data.documents.sources import PYTHON_STDLIB, Source, find_source
from kolossos.data.formats import format_named
from kolossos.data.option_error import OptionError
from kolossos.data.options import TRAIN, PrepareOptions
from kolossos.data.progress import Progress, no_progress
from kolossos.data.tokenizer import Tokenizer
from kolossos.data.tokens.partial import PLAN_FILE, PartialFolder, Plan, existing_output
from kolossos.data.tokens.stages import ReadingStopped, make_corpus
from kolossos.errors import InputError
from kolossos.files import disk_has_room, write_whole
from kolossos.stores import COPY_BYTES, LocalStore, Store, cache_folder, open_store


@dataclass(frozen=True)
class Prepared:
    """The output. ``was_complete``: it was there already, made from the same sources and options."""

    store: Store
    manifest: Manifest
    was_complete: bool

    @property
    def folder(self) -> Path:
        """The output on this machine."""
        if self.store.local is None:
            raise ValueError(f"{self.store} is not on this machine")
        return self.store.local


def prepare(
    source_arguments: Sequence[str],
    out: str | Path,
    options: PrepareOptions | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> Prepared:
    """Make a folder of token shards from sources.

    Args:
        source_arguments: folders, files or ``python-stdlib``; none means ``python-stdlib``.
        out: the folder to make, or a URL that fsspec opens. While a folder is made, the work lies in ``OUT.partial``
            beside it; for a URL, in the cache of this machine.
        options: what to make of the sources; the defaults if None.
        workers: processes that read and clean; None: one a core. The output does not depend on it.
        overwrite: replace an output made from other sources or options. A store that cannot rename is without a
            complete output from then until the new one is complete.
        progress: told how far each stage is.

    Raises:
        InputError: bad sources or options, or a full disk; ``OUT.partial`` is then removed, unless a bad line stopped
            the reading when some of it was done. Any other end leaves it. Also, if another process is at it.
    """
    options = options or PrepareOptions()
    if workers is not None and workers < 1:
        raise OptionError(f"workers {workers} is out of range: it must be 1 or more", "workers")
    store = open_store(out)
    partial = PartialFolder(_folder_to_make(store))
    skip = frozenset(folder.resolve() for folder in (partial.out, partial.path, partial.replaced))
    sources = [find_source(argument, skip) for argument in source_arguments or [PYTHON_STDLIB]]
    given = None if options.tokenizer == TRAIN else Tokenizer.load(options.tokenizer, options.end_token)
    plan = Plan.of(sources, options.record(given.identity if given else None))
    if manifest := existing_output(store, plan, overwrite):
        return Prepared(store, manifest, was_complete=True)
    with partial.locked():
        if manifest := existing_output(store, plan, overwrite):  # another process has made it meanwhile
            return Prepared(store, manifest, was_complete=True)
        made = existing_output(LocalStore(partial.out), plan, overwrite=True) if store.local is None else None
        if made is None:
            partial.open(plan)
            try:
                made = _make(partial, sources, options, plan, given, workers or os.cpu_count() or 1, progress)
            except ReadingStopped as stopped:
                if partial.has_gathered():
                    raise _with_work_kept(stopped.error) from stopped.error
                partial.discard()
                raise stopped.error from None
            except InputError:
                partial.discard()
                raise
            partial.move_into_place()
        if store.local is None:
            _put(partial.out, made, plan, store, progress)
    return Prepared(store, made, was_complete=False)


def _make(
    partial: PartialFolder,
    sources: Sequence[Source],
    options: PrepareOptions,
    plan: Plan,
    given: Tokenizer | None,
    workers: int,
    progress: Progress,
) -> Manifest:
    """Everything, in the partial folder."""
    with disk_has_room(partial.out.parent, _needed_bytes(sources, options.limit_bytes)):
        if not partial.is_complete():
            made = make_corpus(
                partial, sources, options, plan, given_tokenizer=given, workers=workers, progress=progress
            )
            write_whole(partial.path / MANIFEST_FILE, made.json_text())
        return Manifest.read(partial.path)


def _with_work_kept(error: InputError) -> InputError:
    message = f"{error}; what was read before is kept for the next try"
    return OptionError(message, error.option) if isinstance(error, OptionError) else InputError(message)


def _folder_to_make(store: Store) -> Path:
    """The output itself, or where it is made before it is put into its store."""
    if store.local is not None:
        return store.local.absolute()
    return cache_folder() / "prepare" / hashlib.sha256(store.place.encode()).hexdigest()[:16] / "data"


def _put(folder: Path, manifest: Manifest, plan: Plan, store: Store, progress: Progress) -> None:
    """Copy a complete folder into ``store``, its manifest last, and remove it here.

    Until the manifest is there, the plan says that what lies in the store is ours.
    """
    names = [*manifest.file_hashes(), MANIFEST_FILE]
    done, total = 0, sum((folder / name).stat().st_size for name in names)
    try:
        replaced = _files_of(store)
        store.write(PLAN_FILE, plan.model_dump_json())
        store.remove(MANIFEST_FILE)
        for name in names:
            progress("put", done, total)
            with open(folder / name, "rb") as file, store.create(name) as copy:
                shutil.copyfileobj(file, copy, COPY_BYTES)
            done += (folder / name).stat().st_size
        progress("put", done, total)
        for name in {PLAN_FILE} | replaced - set(names):
            store.remove(name)
    except OSError as error:
        raise InputError(f"cannot write to {store}: {error}; the same command goes on from here") from error
    shutil.rmtree(folder.parent, ignore_errors=True)


def _files_of(store: Store) -> set[str]:
    """The files of an output that is to be replaced, as far as its manifest can be read."""
    try:
        return set(Manifest.read(store).file_hashes())
    except InputError:
        return set()


def _needed_bytes(sources: Sequence[Source], limit_bytes: int | None) -> int:
    """A guess of the space for text, sketches and tokens."""
    files = [file for source in sources for file in source.files]
    all_bytes = round(sum(format_named(file.format).disk_bytes_per_byte * file.size_bytes for file in files))
    return all_bytes if limit_bytes is None else min(all_bytes, 2 * limit_bytes)
