"""The first stage, run in parallel: read a few files, clean their documents, fingerprint them, write a work file."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kolossos.data.corpus.documents import DocumentRecord
from kolossos.data.document import Document, storable
from kolossos.data.documents.clean import clean, reason_to_drop
from kolossos.data.documents.duplicates import fingerprint, normalised, sketch
from kolossos.data.documents.sources import Source, SourceFile
from kolossos.data.documents.work_files import WorkDocument, write_work_file
from kolossos.data.format import NotThisFormat, Part
from kolossos.data.formats import format_named
from kolossos.data.options import PrepareOptions
from kolossos.files import write_whole

TASK_BYTES = 4 << 20


@dataclass(frozen=True)
class Piece:
    """A file to read, or a part of one."""

    file: SourceFile
    part: Part | None

    @property
    def size_bytes(self) -> int:
        return self.part.size_bytes if self.part else self.file.size_bytes


@dataclass(frozen=True)
class Task:
    """Neighbouring files of one source, and the work file (``work_file`` + .arrow and .json) that they become."""

    source_number: int
    source: str
    pieces: tuple[Piece, ...]
    work_file: Path
    options: PrepareOptions

    @property
    def size_bytes(self) -> int:
        return sum(piece.size_bytes for piece in self.pieces)

    @property
    def arrow_path(self) -> Path:
        return self.work_file.with_suffix(".arrow")


@dataclass(frozen=True)
class Gathered:
    """What a finished task found: documents read, bytes of those left after the filters, and drops by reason."""

    documents: int
    kept_bytes: int
    dropped: dict[str, int]


def plan_tasks(sources: Sequence[Source], work: Path, options: PrepareOptions) -> list[Task]:
    """Cut the files of all sources into tasks of about TASK_BYTES; the same files always give the same tasks."""
    tasks: list[Task] = []

    def add_task(number: int, pieces: list[Piece]) -> None:
        tasks.append(Task(number, sources[number].argument, tuple(pieces), work / f"{len(tasks):06d}", options))

    for number, source in enumerate(sources):
        pieces: list[Piece] = []
        size_bytes = 0
        for file in source.files:
            for piece in _pieces(file):
                pieces.append(piece)
                size_bytes += piece.size_bytes
                if size_bytes >= TASK_BYTES:
                    add_task(number, pieces)
                    pieces, size_bytes = [], 0
        if pieces:
            add_task(number, pieces)
    return tasks


def _pieces(file: SourceFile) -> Sequence[Piece]:
    """The file, or the parts that its format cuts it into if it is larger than a task."""
    parts = format_named(file.format).parts(Path(file.path), TASK_BYTES) if file.size_bytes > TASK_BYTES else ()
    return [Piece(file, part) for part in parts or (None,)]


def gather(task: Task) -> Gathered:
    """Do one task, or take it as done if an earlier run finished it. The .json file is written last: it says done.

    Raises:
        InputError: what reading raises, but for files found in a folder that their format lets be skipped and counted.
    """
    done = task.work_file.with_suffix(".json")
    if done.exists():
        return Gathered(**json.loads(done.read_bytes()))
    counts = _Counts()
    write_work_file(task.arrow_path, _documents(task, counts))
    gathered = Gathered(counts.documents, counts.kept_bytes, dict(sorted(counts.dropped.items())))
    write_whole(done, json.dumps(asdict(gathered)))
    return gathered


@dataclass
class _Counts:
    documents: int = 0
    kept_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def _documents(task: Task, counts: _Counts) -> Iterator[WorkDocument]:
    options = task.options
    for piece in task.pieces:
        file = piece.file
        form = format_named(file.format)
        try:
            for document in form.read(Path(file.path), options.text_key, piece.part):
                counts.documents += 1
                text = clean(document.text)
                if reason := reason_to_drop(text, options.min_chars):
                    counts.dropped[reason] += 1
                    continue
                found = _fingerprinted(text, document, task.source, file, near=options.near_threshold is not None)
                counts.kept_bytes += found.n_bytes
                yield found
                if options.limit_bytes is not None and counts.kept_bytes >= options.limit_bytes:
                    return
        except NotThisFormat:
            if not (file.found and form.unreadable_in_folder == "skip"):
                raise
            counts.dropped[f"not_{form.name}"] += 1


def _fingerprinted(text: str, document: Document, source: str, file: SourceFile, near: bool) -> WorkDocument:
    content = normalised(text)
    return WorkDocument(
        text=text,
        origin=storable(document.origin),
        n_bytes=len(text.encode()),
        fingerprint=fingerprint(content),
        sketch=sketch(content) if near else None,
        record=DocumentRecord(
            **vars(document.facts),
            source=storable(source),
            file=storable(f"{file.name}: {document.member}" if document.member else file.name),
            line=document.line,
        ),
    )
