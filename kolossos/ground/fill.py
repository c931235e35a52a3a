"""Inputs into an index: what is new is added, what changed is replaced, what was deleted is removed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kolossos.data.document import storable
from kolossos.errors import InputError
from kolossos.ground.index.records import key_number
from kolossos.ground.reading.inputs import check_input, known_notes, read_input
from kolossos.ground.reading.options import Gone, Reading, ReadOptions
from kolossos.ground.source import Source
from kolossos.ground.store import Counts, Store, StoreWriter, ahead, batches

BATCH_SOURCES = 50_000
BATCH_CHARACTERS = 32 << 20
BATCH_EMBEDDED = 2_000  # sources of a batch whose vectors are computed: half a minute or so is what a kill can lose

Told = Callable[[str, Counts], None]
"""Called with an input and what became of its sources so far; all of that is acknowledged."""


@dataclass(frozen=True)
class Filled:
    """What a run did."""

    counts: Counts
    left_out: Counter[str] = field(default_factory=Counter)


def fill(
    store: Store,
    inputs: Sequence[str],
    options: ReadOptions,
    *,
    sync: bool = False,
    delete: Sequence[str] = (),
    told: Told | None = None,
) -> Filled:
    """Bring ``store`` up to date with ``inputs``, one after the other.

    Args:
        sync: what an earlier run read from the same input and is not in it any more is removed.
        delete: keys, or ``author:NAME``, to remove afterwards.
        told: hears of every acknowledged batch.
    """
    if not inputs and not delete:
        raise InputError("nothing to do; give folders or files to index, or keys to delete")
    for argument in inputs:
        check_input(argument)
    reading = known_notes(inputs, Reading(options))
    total = Counts()
    with store.writing() as writer:
        for argument in inputs:
            counts = _fill_from(
                writer, argument, reading, sync, BATCH_EMBEDDED if store.embedded else BATCH_SOURCES, told
            )
            total += counts
        total.removed += _delete(writer, delete)
        writer.finish()
    return Filled(total, reading.left_out)


def _fill_from(
    writer: StoreWriter, argument: str, reading: Reading, sync: bool, most: int, told: Told | None
) -> Counts:
    counts, seen = Counts(), []
    for batch, gone in ahead(_changes(read_input(argument, reading), most)):
        counts += writer.write(batch, storable(argument))
        if gone:
            counts.removed += writer.delete(keys=gone)
        if sync:
            left = {source.key for source in batch}
            seen.append(np.fromiter(map(key_number, left), np.uint64, len(left)))
        if told:
            told(argument, counts)
    if sync:
        counts.removed += writer.keep_only(storable(argument), seen)
    return counts


def _changes(read: Iterator[Source | Gone], most: int) -> Iterator[tuple[list[Source], list[str]]]:
    """Batches of sources, each with the keys whose last word in it is that they were deleted."""
    gone: dict[str, None] = {}

    def sources() -> Iterator[Source]:
        for each in read:
            if isinstance(each, Gone):
                gone[each.key] = None
            else:
                gone.pop(each.key, None)
                yield each

    for batch in batches(sources(), most, BATCH_CHARACTERS):
        yield [source for source in batch if source.key not in gone], list(gone)
        gone.clear()
    if gone:
        yield [], list(gone)


def _delete(writer: StoreWriter, asked: Sequence[str]) -> int:
    removed = 0
    for each in asked:
        name = each.removeprefix("author:")
        count = writer.delete(author=name) if name != each else writer.delete(keys=[each])
        if not count:
            raise InputError(f"{each}: nothing in the index has that {'author' if name != each else 'key'}")
        removed += count
    return removed
