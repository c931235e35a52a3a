"""Scoring a model on held-out text, beside what compressors need for the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kolossos.data.compressors import compressor_bits_per_byte
from kolossos.data.corpus.batches import Batch, validation_batches
from kolossos.data.corpus.corpus import Corpus
from kolossos.errors import InputError
from kolossos.model.huggingface.config import CONFIG_FILE
from kolossos.runs.folder import RunFolder
from kolossos.serve.load import load_for_scoring
from kolossos.train.environment import compute_dtype
from kolossos.train.evaluate import Evaluation, evaluate, token_bytes

SEQ_LEN = 1024  # of a model folder, which does not say in which windows it was trained


@dataclass(frozen=True)
class Score:
    """What the model needs for the held-out text, and what each compressor does, in bits per byte."""

    evaluation: Evaluation
    compressors: dict[str, float]


def score(
    path: Path,
    *,
    data: Path | None = None,
    step: int | None = None,
    seq_len: int | None = None,
    batch_size: int = 8,
    precision: str = "bf16",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Score:
    """Score the model in ``path``, a run folder or a Hugging Face one, on the validation split of ``data``.

    Args:
        data: prepared data; None: the run's own.
        step: the checkpoint of a run; None: the newest good one.
        seq_len: window in tokens; None: the run's, or 1024.
        precision: of the products; weights are fp32.
        progress: hears the tokens scored so far, and all.

    Raises:
        InputError: nothing to load or to score, or another tokenizer than the data's.
    """
    dtype = compute_dtype(precision)
    run = None if (path / CONFIG_FILE).is_file() else RunFolder.open(path)
    if data is None and run is None:
        raise InputError(f"{path}: a model folder does not say on which text to score it: name prepared data")
    model, tokenizer = load_for_scoring(path, step)
    corpus = Corpus.open(data or run.spec.data.path, tokenizer)  # type: ignore[union-attr]
    length = seq_len or (run.spec.layout.seq_len if run else min(SEQ_LEN, model.spec.max_seq_len))
    if length > model.spec.max_seq_len:
        raise InputError(f"seq_len = {length} exceeds the model's max_seq_len = {model.spec.max_seq_len}")
    split = corpus.split("validation")
    batches = validation_batches(split, length, batch_size, run.spec.data.mask_documents if run else True)
    begin = tokenizer.begin_ids[-1] if tokenizer.begin_ids else split.eos_id
    evaluation = evaluate(
        model,
        (_begun_with(begin, split.eos_id, batch) for batch in batches),
        token_bytes(tokenizer),
        dtype,
        lambda tokens: progress(tokens, split.n_tokens),
    )
    if evaluation is None:
        raise InputError(f"{corpus.folder}: no validation text to score on: nothing was held out")
    return Score(evaluation, compressor_bits_per_byte(corpus.validation_text_path))


def _begun_with(begin: int, end: int, batch: Batch) -> Batch:
    """The batch with the model's begin token where its data has the end token of the document before."""
    if begin == end:
        return batch
    return replace(batch, tokens_BS=np.where(batch.tokens_BS == end, begin, batch.tokens_BS))
