"""Validation: mean nats a token, and bits per byte of the held-out text."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch

from kolossos.data.corpus.batches import Batch, validation_batches
from kolossos.data.corpus.token_split import TokenSplit
from kolossos.data.tokenizer import Tokenizer
from kolossos.model.chunks import Chunks, Held
from kolossos.parallel.pipeline import Pipeline
from kolossos.parallel.sums import RankSums
from kolossos.specs.run import RunSpec
from kolossos.specs.tokens import IGNORED_TARGET
from kolossos.train.lifecycle.outcome import Evaluation
from kolossos.train.step import MicroBatch
from kolossos.train.tokens import to_micro_batch


@dataclass(frozen=True)
class Scorers:
    """Who scores together: which of how many ``shares`` of each batch is this rank's, and how nats are added up."""

    share: int = 0
    shares: int = 1
    sums: RankSums = field(default_factory=RankSums)
    pipeline: Pipeline | None = None


ALONE = Scorers()


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """Bytes of text that each token id stands for, (vocab_size,) int64; special tokens stand for none.

    The end token takes back the space that some tokenizers put before each document.
    """
    lengths = np.array([len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size)], dtype=np.int64)
    lengths[tokenizer.eos_id] = -tokenizer.prefix_bytes
    return lengths


@torch.no_grad()
def evaluate(
    model: Held,
    batches: Iterable[Batch],
    bytes_of_token: np.ndarray,
    dtype: torch.dtype,
    progress: Callable[[int], None] = lambda _: None,
    together: Scorers = ALONE,
) -> Evaluation | None:
    """Sum the loss over all targets that count, on the device of the weights; None if there is not one.

    ``progress`` hears the number of tokens after each batch. All that score ``together`` go through the same batches.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    nats, tokens, n_bytes = 0.0, 0, 0
    for batch in batches:
        nats += _nats(model, to_micro_batch(_share_of(batch, together), device), dtype, together.pipeline).item()
        counted = batch.targets_BS[batch.targets_BS != IGNORED_TARGET]
        tokens += counted.size
        n_bytes += int(bytes_of_token[counted].sum())
        progress(tokens)
    model.train(was_training)
    nats = together.sums.of_number(nats, device)
    return Evaluation(nats, tokens, n_bytes) if tokens else None


def _share_of(batch: Batch, together: Scorers) -> Batch:
    """The sequences that this rank scores."""
    rows = len(batch.tokens_BS) // together.shares
    mine = slice(together.share * rows, (together.share + 1) * rows)
    documents = None if batch.document_BS is None else batch.document_BS[mine]
    return Batch(batch.tokens_BS[mine], batch.targets_BS[mine], documents)


def _nats(model: Held, micro: MicroBatch, dtype: torch.dtype, pipeline: Pipeline | None) -> torch.Tensor:
    """The loss of a batch (sum) as far as it is computed on this rank."""
    if pipeline is not None:
        return pipeline.nats(micro.tokens_BS, micro.targets_BS, micro.document_BS)
    assert not isinstance(model, Chunks)  # they are for a pipeline
    hidden_BSD, _ = model(micro.tokens_BS, dtype=dtype, document_BS=micro.document_BS)
    return model.loss(hidden_BSD, micro.targets_BS)


def spread_batches(split: TokenSplit, spec: RunSpec, limit: int | None) -> Iterator[Batch]:
    """About ``limit`` of the batches that a run scores itself on, spread over the split; None: all of them."""
    layout = spec.layout
    sequences = layout.sequences_per_pass
    n_batches = -(-split.n_tokens // (sequences * layout.seq_len))
    stride = 1 if limit is None else max(1, -(-n_batches // limit))
    batches = validation_batches(split, layout.seq_len, sequences, spec.data.mask_documents)
    return islice(batches, 0, None, stride)
