"""The first stage, run in parallel: read a few files, clean their documents, fingerprint them, write a work file."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kolossos.data.clean import clean, reason_to_drop
from kolossos.data.duplicates import fingerprint, normalised, sketch
from kolossos.data.options import PrepareOptions
from kolossos.data.readers import NotText, read_documents
from kolossos.data.sources import Source, SourceFile
from kolossos.data.work_files import WorkDocument, write_work_file
from kolossos.files import write_whole

TASK_BYTES = 4 << 20


@dataclass(frozen=True)
class Task:
    """Neighbouring files of one source, and the work file (``work_file`` + .arrow and .json) that they become."""

    source_number: int
    files: tuple[SourceFile, ...]
    work_file: Path
    options: PrepareOptions

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

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

    def add_task(source_number: int, files: list[SourceFile]) -> None:
        tasks.append(Task(source_number, tuple(files), work / f"{len(tasks):06d}", options))

    for source_number, source in enumerate(sources):
        files: list[SourceFile] = []
        size_bytes = 0
        for file in source.files:
            files.append(file)
            size_bytes += file.size_bytes
            if size_bytes >= TASK_BYTES:
                add_task(source_number, files)
                files, size_bytes = [], 0
        if files:
            add_task(source_number, files)
    return tasks


def gather(task: Task) -> Gathered:
    """Do one task, or take it as done if an earlier run finished it. The .json file is written last: it says done.

    Raises:
        InputError: what ``read_documents`` raises, but for files met in a folder that are no text: these are counted.
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
    for file in task.files:
        try:
            for document in read_documents(file, options.text_key):
                counts.documents += 1
                text = clean(document.text)
                if reason := reason_to_drop(text, options.min_chars):
                    counts.dropped[reason] += 1
                    continue
                found = _fingerprinted(text, document.origin, near=options.near_threshold is not None)
                counts.kept_bytes += found.n_bytes
                yield found
                if options.limit_bytes is not None and counts.kept_bytes >= options.limit_bytes:
                    return
        except NotText:
            if not file.lenient:
                raise
            counts.dropped["not_text"] += 1


def _fingerprinted(text: str, origin: str, near: bool) -> WorkDocument:
    content = normalised(text)
    return WorkDocument(text, origin, len(text.encode()), fingerprint(content), sketch(content) if near else None)
