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
from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.serve.load import load_for_scoring
from kolossos.train.evaluate import evaluate, token_bytes
from kolossos.train.layouts import require_trainable_precision
from kolossos.train.lifecycle.data import require_same_data
from kolossos.train.lifecycle.outcome import Evaluation
from kolossos.train.precision import choose_precision, compute_dtype

SEQ_LEN = 1024  # of a model folder, which does not say in which windows it was trained


@dataclass(frozen=True)
class Score:
    """What the model needs for the held-out text, and what each compressor does, in bits per byte."""

    evaluation: Evaluation
    compressors: dict[str, float]
    trained: "Trained | None" = None


@dataclass(frozen=True)
class Trained:
    """How long a run has trained up to its newest step."""

    tokens: int
    seconds: float


def trained(run: RunFolder) -> Trained | None:
    """From the events of a run; None where it has none."""
    steps = read_events(run.files.metrics, "train") if run.files.metrics.exists() else []
    return Trained(int(steps[-1]["tokens"]), sum(step["step_s"] for step in steps)) if steps else None


def score(
    path: Path,
    *,
    data: Path | None = None,
    step: int | None = None,
    seq_len: int | None = None,
    batch_size: int = 8,
    precision: str = "auto",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Score:
    """Score the model in ``path``, a run folder or a Hugging Face one, on the validation split of ``data``.

    Args:
        data: prepared data; None: the run's own.
        step: the checkpoint of a run; None: the newest good one.
        seq_len: window in tokens; None: the run's, or 1024.
        precision: of the products; weights are fp32. auto: what is faster on this machine for this model.
        progress: hears the tokens scored so far, and all.

    Raises:
        InputError: nothing to load or to score, or another tokenizer than the data's.
    """
    require_trainable_precision(precision)
    run = None if (path / CONFIG_FILE).is_file() else RunFolder.open(path)
    if data is None and run is None:
        raise InputError(f"{path}: a model folder does not say on which text to score it: name prepared data")
    model, tokenizer = load_for_scoring(path, step)
    if data is None and run is not None:
        require_same_data(run.spec, Corpus.open(run.spec.data.path))
    corpus = Corpus.open(data or run.spec.data.path, tokenizer)  # type: ignore[union-attr]
    length = seq_len or (run.spec.layout.seq_len if run else min(SEQ_LEN, model.spec.max_seq_len))
    if length > model.spec.max_seq_len:
        raise InputError(f"seq_len = {length} exceeds the model's max_seq_len = {model.spec.max_seq_len}")
    if precision == "auto":
        device = model.embedding.weight.device
        precision = choose_precision(model.spec, length * batch_size, device).precision
    split = corpus.split("validation")
    batches = validation_batches(split, length, batch_size, run.spec.data.mask_documents if run else True)
    begin = tokenizer.begin_ids[-1] if tokenizer.begin_ids else split.eos_id
    evaluation = evaluate(
        model,
        (_begun_with(begin, split.eos_id, batch) for batch in batches),
        token_bytes(tokenizer),
        compute_dtype(precision),
        lambda tokens: progress(tokens, split.n_tokens),
    )
    if evaluation is None:
        raise InputError(f"{corpus.folder}: no validation text to score on: nothing was held out")
    compressors = compressor_bits_per_byte(corpus.validation_text_path)
    return Score(evaluation, compressors, trained(run) if run else None)


def _begun_with(begin: int, end: int, batch: Batch) -> Batch:
    """The batch with the model's begin token where its data has the end token of the document before."""
    if begin == end:
        return batch
    return replace(batch, tokens_BS=np.where(batch.tokens_BS == end, begin, batch.tokens_BS))
