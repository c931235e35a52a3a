"""Validation: mean nats a token, and bits per byte of the held-out text."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
import torch

from kolossos.data.corpus.batches import Batch, validation_batches
from kolossos.data.corpus.token_split import TokenSplit
from kolossos.data.tokenizer import Tokenizer
from kolossos.model.decoder import Decoder
from kolossos.specs.run import RunSpec
from kolossos.specs.tokens import IGNORED_TARGET
from kolossos.train.lifecycle.outcome import Evaluation
from kolossos.train.tokens import to_micro_batch


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """Bytes of text that each token id stands for, (vocab_size,) int64; special tokens stand for none.

    The end token takes back the space that some tokenizers put before each document.
    """
    lengths = np.array([len(tokenizer.token_bytes(i)) for i in range(tokenizer.vocab_size)], dtype=np.int64)
    lengths[tokenizer.eos_id] = -tokenizer.prefix_bytes
    return lengths


@torch.no_grad()
def evaluate(
    model: Decoder,
    batches: Iterable[Batch],
    bytes_of_token: np.ndarray,
    dtype: torch.dtype,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation | None:
    """Sum the loss over all targets that count, on the device of the weights; None if there is not one.

    ``progress`` hears the number of tokens after each batch.
    """
    device = model.embedding.weight.device
    was_training = model.training
    model.eval()
    nats, tokens, n_bytes = 0.0, 0, 0
    for batch in batches:
        micro = to_micro_batch(batch, device)
        hidden, _ = model(micro.tokens_BS, dtype=dtype, document_BS=micro.document_BS)
        nats += model.loss(hidden, micro.targets_BS).item()
        counted = batch.targets_BS[batch.targets_BS != IGNORED_TARGET]
        tokens += counted.size
        n_bytes += int(bytes_of_token[counted].sum())
        progress(tokens)
    model.train(was_training)
    return Evaluation(nats, tokens, n_bytes) if tokens else None


def spread_batches(split: TokenSplit, spec: RunSpec, limit: int | None) -> Iterator[Batch]:
    """About ``limit`` of the batches that a run scores itself on, spread over the split; None: all of them."""
    layout = spec.layout
    n_batches = -(-split.n_tokens // (layout.micro_batch_size * layout.seq_len))
    stride = 1 if limit is None else max(1, -(-n_batches // limit))
    batches = validation_batches(split, layout.seq_len, layout.micro_batch_size, spec.data.mask_documents)
    return islice(batches, 0, None, stride)
