"""From numpy batches to tensors on a device."""

from collections.abc import Iterator

import torch

from kolossos.data.corpus.batches import Batch, Batches
from kolossos.specs.layout import Layout
from kolossos.train.step import MicroBatch


def to_micro_batch(batch: Batch, device: torch.device) -> MicroBatch:
    """The same tokens as tensors on ``device``."""
    documents = None if batch.document_BS is None else torch.from_numpy(batch.document_BS).to(device)
    tokens, targets = (torch.from_numpy(x).contiguous().to(device) for x in (batch.tokens_BS, batch.targets_BS))
    return MicroBatch(tokens, targets, documents)


def micro_batches(
    batches: Batches, step: int, layout: Layout, documents: bool, device: torch.device
) -> Iterator[MicroBatch]:
    """The micro-batches of one global batch, in order."""
    for start in range(0, layout.global_batch_size, layout.micro_batch_size):
        stop = start + layout.micro_batch_size
        yield to_micro_batch(batches.batch(step, start, stop, documents=documents), device)
