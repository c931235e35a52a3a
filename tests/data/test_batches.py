"""A batch depends on (seed, step) and nothing else; validation counts every token once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolossos.data.corpus.batches import Batches, validation_batches
from kolossos.data.corpus.corpus import Corpus
from kolossos.errors import InputError
from kolossos.specs.tokens import IGNORED_TARGET

SEQ_LEN = 64


@settings(max_examples=40)
@given(st.data())
def test_any_partition_into_ranks_and_micro_batches_gives_the_same_sequences(
    corpus: Corpus, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 40))
    step, seed = data.draw(st.integers(0, 10_000)), data.draw(st.integers(0, 1000))
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=5)))
    whole = Batches(corpus.split("train"), SEQ_LEN, size, seed).batch(step, documents=True)
    again = Batches(Corpus.open(corpus.folder).split("train"), SEQ_LEN, size, seed)
    parts = [again.batch(step, a, b, documents=True) for a, b in zip([0, *cuts], [*cuts, size], strict=True)]
    for field in ("tokens_BS", "targets_BS", "document_BS"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, field) for part in parts]), getattr(whole, field))
    assert whole.tokens_BS.shape == whole.targets_BS.shape == (size, SEQ_LEN)
    assert whole.tokens_BS.dtype == whole.targets_BS.dtype == np.int64
    np.testing.assert_array_equal(whole.tokens_BS[:, 1:], whole.targets_BS[:, :-1])


def test_an_epoch_visits_every_window_once_and_the_next_in_another_order(corpus: Corpus) -> None:
    batches = Batches(corpus.split("train"), SEQ_LEN, 7, seed=3)
    n = batches.n_windows
    epochs = batches.window_numbers(np.arange(2 * n)).reshape(2, n)
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(n))
    assert (epochs[0] != epochs[1]).mean() > 0.9


def test_the_global_batch_size_only_cuts_the_same_stream(corpus: Corpus) -> None:
    small, large = (Batches(corpus.split("train"), SEQ_LEN, size, seed=0) for size in (4, 8))
    np.testing.assert_array_equal(
        np.concatenate([small.batch(2).tokens_BS, small.batch(3).tokens_BS]), large.batch(1).tokens_BS
    )


def test_windows_are_the_shards_cut_one_after_another(corpus: Corpus) -> None:
    split = corpus.split("train")
    shards = corpus.manifest.splits["train"].shards
    assert len(shards) > 1
    tokens = [np.fromfile(corpus.folder / f"{shard.name}.bin", dtype="<u2") for shard in shards]
    expected = [t[i : i + SEQ_LEN + 1] for t in tokens for i in range(0, len(t) - SEQ_LEN, SEQ_LEN)]
    assert split.n_windows(SEQ_LEN) == len(expected)
    np.testing.assert_array_equal(split.windows(np.arange(len(expected)), SEQ_LEN), expected)
    np.testing.assert_array_equal(split.window(len(expected) - 1, SEQ_LEN), expected[-1])
    with pytest.raises(IndexError):
        split.window(len(expected), SEQ_LEN)


def test_document_numbers_change_exactly_behind_an_end_token(corpus: Corpus) -> None:
    split = corpus.split("train")
    batch = Batches(split, 512, split.n_windows(512), seed=0).batch(0, documents=True)
    assert batch.document_BS is not None
    starts = np.diff(batch.document_BS, axis=1) == 1
    np.testing.assert_array_equal(starts, batch.tokens_BS[:, 1:] == corpus.manifest.tokenizer.eos_id)
    assert starts.any()
    assert set(np.diff(batch.document_BS, axis=1).ravel()) == {0, 1}


@pytest.mark.parametrize(("seq_len", "batch_size"), [(1, 1), (64, 3), (100_000, 2)])
def test_validation_predicts_every_token_once_from_the_one_before(
    corpus: Corpus, seq_len: int, batch_size: int
) -> None:
    split, eos_id = corpus.split("validation"), corpus.manifest.tokenizer.eos_id
    batches = list(validation_batches(split, seq_len, batch_size, documents=True))
    inputs, targets, documents = (
        np.concatenate([getattr(b, field).ravel() for b in batches])
        for field in ("tokens_BS", "targets_BS", "document_BS")
    )
    real = targets != IGNORED_TARGET
    tokens = split.stream(0, split.n_tokens)
    np.testing.assert_array_equal(targets[real], tokens)
    np.testing.assert_array_equal(inputs[real], [eos_id, *tokens[:-1]])
    np.testing.assert_array_equal(documents[real], np.cumsum([0, *(tokens[:-1] == eos_id)]))
    assert not real[split.n_tokens :].any()
    assert all(batch.tokens_BS.shape == (batch_size, seq_len) for batch in batches)


def test_too_little_text_for_one_sequence_is_said(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="too few for one sequence of seq_len 10000000"):
        Batches(corpus.split("train"), 10_000_000, 1, seed=0)
