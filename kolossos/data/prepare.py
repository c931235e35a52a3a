"""``kolossos data prepare``: sources in, a folder of token shards out, complete or not there.

Stages (``stages.py``): gather -> decide -> tokenizer -> shards -> manifest. Each leaves whole files in ``OUT.partial``,
so that the same command run again goes on where an interrupted one stopped and ends with the same bytes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kolossos.data.manifest import MANIFEST_FILE, Manifest
from kolossos.data.options import TRAIN, PrepareOptions
from kolossos.data.partial import PartialFolder, Plan, existing_output
from kolossos.data.progress import Progress, no_progress
from kolossos.data.sources import PYTHON_STDLIB, Source, find_source
from kolossos.data.stages import make_corpus
from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.files import disk_has_room, write_whole


@dataclass(frozen=True)
class Prepared:
    """The output. ``was_complete``: it was there already, made from the same sources and options."""

    folder: Path
    manifest: Manifest
    was_complete: bool


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
        out: the folder to make. While it is made, the work lies in ``OUT.partial`` beside it.
        options: what to make of the sources; the defaults if None.
        workers: processes that read and clean; None: one a core. The output does not depend on it.
        overwrite: replace an output made from other sources or options.
        progress: told how far each stage is.

    Raises:
        InputError: bad sources or options, or a full disk; ``OUT.partial`` is then removed. Any other end leaves it.
    """
    options = options or PrepareOptions()
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers} is out of range: it must be 1 or more")
    partial = PartialFolder(Path(out).absolute())
    skip = frozenset(folder.resolve() for folder in (partial.out, partial.path, partial.replaced))
    sources = [find_source(argument, skip) for argument in source_arguments or [PYTHON_STDLIB]]
    given = None if options.tokenizer == TRAIN else Tokenizer.load(options.tokenizer)
    plan = Plan.of(sources, options.record(given.sha256 if given else None))
    if manifest := existing_output(partial.out, plan, overwrite):
        return Prepared(partial.out, manifest, was_complete=True)
    partial.open(plan)
    try:
        with disk_has_room(partial.out.parent, _needed_bytes(sources, options.limit_bytes)):
            if not partial.is_complete():
                manifest = make_corpus(partial, sources, options, plan, given, workers or os.cpu_count() or 1, progress)
                write_whole(partial.path / MANIFEST_FILE, manifest.json_text())
    except InputError:
        partial.discard()
        raise
    manifest = Manifest.read(partial.path)
    partial.move_into_place()
    return Prepared(partial.out, manifest, was_complete=False)


def _needed_bytes(sources: Sequence[Source], limit_bytes: int | None) -> int:
    """A guess of the space for text, sketches and tokens; Parquet and compressed lines grow when they are unpacked."""
    growth = {"text": 2, "jsonl": 3, "parquet": 6, "archive": 3}
    all_bytes = sum(growth[file.kind] * file.size_bytes for source in sources for file in source.files)
    return all_bytes if limit_bytes is None else min(all_bytes, 2 * limit_bytes)
