"""The first stage, run in parallel: read a few files, clean their documents, fingerprint them, write a work file."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kolossos.data.corpus.documents import DocumentRecord
from kolossos.data.document import Document, storable
from kolossos.data.documents.clean import clean, reason_to_drop
from kolossos.data.documents.duplicates import fingerprint, normalised, sketch
from kolossos.data.documents.in_order import run_in_order
from kolossos.data.documents.sources import Source, SourceFile
from kolossos.data.documents.work_files import WORK_LAYOUT, WorkDocument, write_work_file
from kolossos.data.format import NotThisFormat, Part
from kolossos.data.formats import format_named
from kolossos.data.mask import mask
from kolossos.data.options import PrepareOptions
from kolossos.data.pieces import cut
from kolossos.errors import InputError
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

    @property
    def may_abort(self) -> bool:
        return any(format_named(piece.file.format).may_abort for piece in self.pieces)

    @property
    def described(self) -> str:
        """The files, for a message."""
        first, *others = (piece.file.path for piece in self.pieces)
        return f"{first} and {len(others)} more" if others else first


@dataclass(frozen=True)
class Gathered:
    """What a finished task found: documents read, bytes of those left after the filters, drops by reason, what was
    masked by kind, and what was wrong with the first line that was skipped.
    """

    documents: int
    kept_bytes: int
    dropped: dict[str, int]
    masked: dict[str, int] = field(default_factory=dict)
    first_bad_line: str | None = None


def plan_tasks(sources: Sequence[Source], work: Path, options: PrepareOptions) -> list[Task]:
    """Cut the files of all sources into tasks of about TASK_BYTES; the same files always give the same tasks."""
    tasks: list[Task] = []
    parts = _parts([file for source in sources for file in source.files])

    def add_task(number: int, pieces: list[Piece]) -> None:
        source = sources[number].argument
        name = _work_name(number, source, pieces, options)
        tasks.append(Task(number, source, tuple(pieces), work / name, options))

    for number, source in enumerate(sources):
        pieces: list[Piece] = []
        size_bytes = 0
        for file in source.files:
            for part in parts.get(file.path) or (None,):
                pieces.append(Piece(file, part))
                size_bytes += pieces[-1].size_bytes
                if size_bytes >= TASK_BYTES:
                    add_task(number, pieces)
                    pieces, size_bytes = [], 0
        if pieces:
            add_task(number, pieces)
    return tasks


def _work_name(number: int, source: str, pieces: Sequence[Piece], options: PrepareOptions) -> str:
    """A name that says what is read and how, so that work is found again when another file or option has changed.

    Whether bad lines are skipped is no part of it: without any, the work is the same.
    """
    read = [(piece.file.name, piece.file.format, piece.file.sha256, piece.file.found, piece.part) for piece in pieces]
    how = (options.text_key_of(source), options.near_threshold is not None, options.min_chars, options.limit_bytes)
    masked = (sorted(set(options.mask)), options.community_posts)
    return hashlib.sha256(
        repr((WORK_LAYOUT, number, source, read, how, masked)).encode("utf-8", "replace")
    ).hexdigest()[:32]


def _parts(files: Sequence[SourceFile]) -> dict[str, Sequence[Part]]:
    """The parts that formats cut files into that are larger than a task; the others are read in one piece."""
    large = [file for file in files if file.size_bytes > TASK_BYTES]
    isolate = any(format_named(file.format).may_abort for file in large)
    found = run_in_order(_parts_of, large, 1, isolate=isolate, described=lambda file: file.path)
    return {file.path: parts for file, parts in zip(large, found, strict=True)}


def _parts_of(file: SourceFile) -> Sequence[Part]:
    return format_named(file.format).parts(Path(file.path), TASK_BYTES)


def gather(task: Task) -> Gathered:
    """Do one task, or take it as done if an earlier run finished it. The .json file is written last: it says done.

    Raises:
        InputError: what reading raises, but for files found in a folder that their format lets be skipped and counted.
    """
    done = task.work_file.with_suffix(".json")
    if done.exists():
        known = Gathered(**json.loads(done.read_bytes()))
        if known.first_bad_line is None or task.options.bad_lines == "skip":
            return known
    counts = _Counts()
    write_work_file(task.arrow_path, _documents(task, counts))
    gathered = Gathered(
        counts.documents,
        counts.kept_bytes,
        dict(sorted(counts.dropped.items())),
        dict(sorted(counts.masked.items())),
        counts.first_bad_line,
    )
    write_whole(done, json.dumps(asdict(gathered)))
    return gathered


@dataclass
class _Counts:
    documents: int = 0
    kept_bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    masked: Counter[str] = field(default_factory=Counter)
    first_bad_line: str | None = None


def _documents(task: Task, counts: _Counts) -> Iterator[WorkDocument]:
    options = task.options
    for piece in task.pieces:
        for document in _documents_of(piece, task, counts):
            yield from _kept(document, piece.file, task, counts)
            if options.limit_bytes is not None and counts.kept_bytes >= options.limit_bytes:
                return


def _documents_of(piece: Piece, task: Task, counts: _Counts) -> Iterator[Document]:
    """What one file holds; what is left out of it is counted."""
    file = piece.file
    form = format_named(file.format)
    may_skip = file.found and form.unreadable_in_folder == "skip"
    first = True
    _check_unchanged(file)
    try:
        for item in form.read(Path(file.path), task.options.text_key_of(task.source), piece.part):
            if isinstance(item, Document):
                yield item
            elif item.error is not None:
                if first and may_skip:  # a table of figures, a file of settings
                    raise NotThisFormat(str(item.error))
                if task.options.bad_lines == "refuse":
                    raise item.error
                counts.first_bad_line = counts.first_bad_line or storable(str(item.error))
                counts.dropped[item.reason] += 1
            else:
                counts.dropped[item.reason] += 1
            first = False
    except (InputError, OSError) as error:
        if not Path(file.path).exists():
            raise _gone(file) from error
        if may_skip and (isinstance(error, NotThisFormat) or (first and isinstance(error, InputError))):
            kind = error.kind if isinstance(error, NotThisFormat) else None
            counts.dropped[kind or f"not_{form.name}"] += 1
        elif isinstance(error, OSError):
            raise InputError(f"{file.path} cannot be read: {error.strerror or error}") from error
        else:
            raise


def _check_unchanged(file: SourceFile) -> None:
    try:
        size_bytes = Path(file.path).stat().st_size
    except FileNotFoundError as error:
        raise _gone(file) from error
    if size_bytes != file.size_bytes:
        raise InputError(f"{file.path} has changed since it was found; run the same command again")


def _gone(file: SourceFile) -> InputError:
    return InputError(f"{file.path} is gone since it was found; run the same command again")


def _kept(document: Document, file: SourceFile, task: Task, counts: _Counts) -> Iterator[WorkDocument]:
    """A document cleaned, in pieces if it is large, without those that are not worth learning from."""
    options = task.options
    if document.only_if_asked is not None and not getattr(options, document.only_if_asked):
        counts.dropped[f"{document.only_if_asked}_not_asked_for"] += 1
        return
    near = options.near_threshold is not None
    for piece in cut(clean(document.text)):
        counts.documents += 1
        text = clean(piece)
        if options.mask:
            text, masked = mask(text, options.mask)
            counts.masked.update(masked)
        if reason := reason_to_drop(text, options.min_chars):
            counts.dropped[reason] += 1
            continue
        found = _fingerprinted(text, document, task.source, file, near=near)
        counts.kept_bytes += found.n_bytes
        yield found


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
