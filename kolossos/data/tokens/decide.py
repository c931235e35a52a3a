"""The second stage, one pass in source order: which documents stay, and in which split."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kolossos.data.corpus.documents import RECORD_COLUMNS, DocumentRecord
from kolossos.data.corpus.manifest import SplitName
from kolossos.data.documents.duplicates import Duplicates
from kolossos.data.documents.gather import Task
from kolossos.data.documents.work_files import read_batches
from kolossos.data.options import PrepareOptions
from kolossos.data.tokens.split import held_out


@dataclass(frozen=True)
class Decisions:
    """For each gathered document its split, or None if it is dropped; and the drops counted by reason."""

    splits: list[SplitName | None]
    dropped: Counter[str]
    kept_bytes: int


def decide(tasks: Sequence[Task], options: PrepareOptions) -> Decisions:
    """Judge the documents of all work files; only fingerprints and sketches are held in memory."""
    duplicates = Duplicates(options.near_threshold)
    dropped: Counter[str] = Counter()
    kept: list[bool] = []
    fingerprints: list[bytes] = []
    seen_bytes = kept_bytes = 0
    for n_bytes, fingerprint, sketch in _rows(tasks):
        seen_bytes += n_bytes
        if options.limit_bytes is not None and seen_bytes > options.limit_bytes:
            reason = "over_limit"
        else:
            repeated = duplicates.judge(fingerprint, sketch)
            reason = f"{repeated}_duplicate" if repeated else None
        kept.append(reason is None)
        if reason:
            dropped[reason] += 1
        else:
            fingerprints.append(fingerprint)
            kept_bytes += n_bytes
    validation = iter(held_out(fingerprints, options.val_fraction, options.seed))
    splits: list[SplitName | None] = [("validation" if next(validation) else "train") if k else None for k in kept]
    return Decisions(splits, dropped, kept_bytes)


@dataclass(frozen=True)
class KeptBatch:
    """Documents that stay, in source order: texts, where they came from (for messages), splits, and, if asked for,
    their rows of the table of documents.
    """

    texts: list[str]
    origins: list[str]
    splits: list[SplitName]
    records: list[DocumentRecord]


def kept_batches(
    tasks: Sequence[Task], decisions: Decisions, only: SplitName | None = None, records: bool = False
) -> Iterator[KeptBatch]:
    """The documents that stay (in one split, with ``only``), read again from the work files, batch by batch."""
    splits = iter(decisions.splits)
    columns = ["text", "origin", *(RECORD_COLUMNS if records else ())]
    for task in tasks:
        for batch in read_batches(task.arrow_path, columns):
            kept = KeptBatch([], [], [], [])
            # zip asks `splits` last, so that it stands at the next batch when this one ends
            for text, origin, *values, split in zip(*(batch[column] for column in columns), splits, strict=False):
                if split is not None and only in (None, split):
                    kept.texts.append(text)
                    kept.origins.append(origin)
                    kept.splits.append(split)
                    if records:
                        kept.records.append(DocumentRecord(*values))
            yield kept


def _rows(tasks: Sequence[Task]) -> Iterator[tuple[int, bytes, bytes | None]]:
    for task in tasks:
        for batch in read_batches(task.arrow_path, ["n_bytes", "fingerprint", "sketch"]):
            yield from zip(batch["n_bytes"], batch["fingerprint"], batch["sketch"], strict=True)
