"""Cleaned documents between two stages, on the disk: one Arrow file a task, read back batch by batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kolossos.data.corpus.documents import DocumentRecord, row_of, table_schema
from kolossos.files import whole_file

if TYPE_CHECKING:
    import pyarrow

BATCH_BYTES = 4 << 20
WORK_LAYOUT = 3  # counted up when the columns of the work files change, or what is done to a text


@dataclass(frozen=True)
class WorkDocument:
    """A cleaned document with what duplicates are found by; ``sketch`` is None when only exact ones are sought."""

    text: str
    origin: str
    n_bytes: int
    fingerprint: bytes
    sketch: bytes | None
    record: DocumentRecord


def write_work_file(path: Path, documents: Iterable[WorkDocument]) -> None:
    """Write ``documents`` to ``path``, whole or not at all; memory holds one batch of about BATCH_BYTES of text."""
    import pyarrow

    with whole_file(path) as file, pyarrow.ipc.new_file(file, _schema()) as writer:
        batch: list[WorkDocument] = []
        batch_bytes = 0
        for document in documents:
            batch.append(document)
            batch_bytes += document.n_bytes
            if batch_bytes >= BATCH_BYTES:
                writer.write_batch(_record_batch(batch))
                batch, batch_bytes = [], 0
        if batch:
            writer.write_batch(_record_batch(batch))


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[dict[str, list]]:
    """The batches of a work file in order, each as {column: values}; other columns are not touched on the disk."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_file(source) as reader:
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield {column: batch.column(column).to_pylist() for column in columns}


def _record_batch(documents: Sequence[WorkDocument]) -> "pyarrow.RecordBatch":
    import pyarrow

    schema = _schema()
    rows = ((d.text, d.origin, d.n_bytes, d.fingerprint, d.sketch, *row_of(d.record)) for d in documents)
    arrays = [pyarrow.array(values, field.type) for values, field in zip(zip(*rows, strict=True), schema, strict=True)]
    return pyarrow.record_batch(arrays, schema=schema)


def _schema() -> "pyarrow.Schema":
    import pyarrow

    return pyarrow.schema(
        [
            ("text", pyarrow.large_string()),
            ("origin", pyarrow.string()),
            ("n_bytes", pyarrow.int64()),
            ("fingerprint", pyarrow.binary()),
            ("sketch", pyarrow.binary()),
            *table_schema(),
        ]
    )
