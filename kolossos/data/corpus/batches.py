"""Batches as pure functions of (seed, step): no loader state, the same sequences for any ranks and micro-batches.

Epoch e visits all windows of the split once, in the order of a permutation keyed by (seed, e). The global batch of a
step is the next ``global_batch_size`` windows of that endless sequence; a rank or micro-batch takes a slice of it.

Shapes: B = sequences, S = seq_len.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kolossos.data.corpus.permutation import Permutation
from kolossos.data.corpus.token_split import TokenSplit
from kolossos.errors import InputError
from kolossos.specs.tokens import IGNORED_TARGET


@dataclass(frozen=True)
class Batch:
    """Sequences to learn from or to score. ``document_BS`` is equal where positions may attend to each other."""

    tokens_BS: np.ndarray  # int64
    targets_BS: np.ndarray  # int64; IGNORED_TARGET where there is nothing to predict
    document_BS: np.ndarray | None  # int32


class Batches:
    """The training batches of a split."""

    def __init__(self, split: TokenSplit, seq_len: int, global_batch_size: int, seed: int) -> None:
        """InputError if the split has not one window of ``seq_len``."""
        if global_batch_size < 1:
            raise InputError(f"global_batch_size {global_batch_size} is out of range: it must be 1 or more")
        self.split, self.seq_len, self.global_batch_size, self.seed = split, seq_len, global_batch_size, seed
        self.n_windows = split.n_windows(seq_len)
        if self.n_windows == 0:
            raise InputError(
                f"the {split.name} split has {split.n_tokens} tokens, too few for one sequence of seq_len {seq_len}; "
                f"prepare more text or choose a smaller seq_len"
            )

    def batch(self, step: int, start: int = 0, stop: int | None = None, documents: bool = False) -> Batch:
        """Sequences ``start:stop`` of the global batch of ``step`` (from 0); ``documents``: with their borders."""
        stop = self.global_batch_size if stop is None else stop
        if step < 0 or not 0 <= start <= stop <= self.global_batch_size:
            raise ValueError(f"no sequences {start}:{stop} of step {step} in batches of {self.global_batch_size}")
        windows = self.window_numbers(step * self.global_batch_size + np.arange(start, stop))
        ids = self.split.windows(windows, self.seq_len)
        numbers = self.split.documents(windows, self.seq_len) if documents else None
        return Batch(ids[:, :-1], ids[:, 1:], numbers)

    def window_numbers(self, places: np.ndarray) -> np.ndarray:
        """The windows (n,) int64 at these ``places`` (n,) of the endless shuffled sequence."""
        epochs, offsets = np.divmod(places, self.n_windows)
        numbers = np.empty(len(places), dtype=np.int64)
        for epoch in np.unique(epochs):
            rows = epochs == epoch
            numbers[rows] = Permutation(self.n_windows, self.seed, int(epoch))(offsets[rows])
        return numbers


def validation_batches(split: TokenSplit, seq_len: int, batch_size: int, documents: bool = False) -> Iterator[Batch]:
    """Every token of the split exactly once as a target, so that bits per byte = nats / (ln 2 * split.n_bytes).

    The first token of all is predicted from the end token. All batches are (batch_size, seq_len); behind the last token
    targets are IGNORED_TARGET, inputs the end token, and document numbers one past the last.
    """
    per_batch = batch_size * seq_len
    for start in range(0, split.n_tokens, per_batch):
        stop = min(start + per_batch, split.n_tokens)
        tokens = np.full(per_batch, split.eos_id, dtype=np.int64)
        targets = np.full(per_batch, IGNORED_TARGET, dtype=np.int64)
        targets[: stop - start] = split.stream(start, stop)
        first = 1 if start == 0 else 0  # nothing is before the first token; its input stays the end token
        tokens[first : stop - start] = split.stream(start - 1 + first, stop - 1)
        numbers = None
        if documents:
            numbers = np.full(per_batch, split.n_documents, dtype=np.int32)
            numbers[: stop - start] = split.documents_of_stream(start, stop)
            numbers = numbers.reshape(batch_size, seq_len)
        yield Batch(tokens.reshape(batch_size, seq_len), targets.reshape(batch_size, seq_len), numbers)
