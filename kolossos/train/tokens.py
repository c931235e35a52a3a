"""From numpy batches to tensors on a device."""

from collections.abc import Iterator, Sequence

import torch

from kolossos.data.corpus.batches import Batch, Batches
from kolossos.train.step import MicroBatch


def to_micro_batch(batch: Batch, device: torch.device) -> MicroBatch:
    """The same tokens as tensors on ``device``."""
    documents = None if batch.document_BS is None else torch.from_numpy(batch.document_BS).to(device)
    tokens, targets = (torch.from_numpy(x).contiguous().to(device) for x in (batch.tokens_BS, batch.targets_BS))
    return MicroBatch(tokens, targets, documents)


def micro_batches(
    batches: Batches, step: int, share: Sequence[range], documents: bool, device: torch.device
) -> Iterator[MicroBatch]:
    """The micro-batches of one share of a global batch, in order: each the sequences that ``share`` names."""
    for sequences in share:
        yield to_micro_batch(batches.batch(step, sequences.start, sequences.stop, documents=documents), device)
