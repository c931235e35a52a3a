"""The data of a run: that they fit its model, and that they are the ones it began with. Read without torch."""

import hashlib
import json

from kolossos.data.corpus.corpus import Corpus
from kolossos.errors import InputError
from kolossos.specs.counts import count_parameters
from kolossos.specs.run import RunSpec


def open_corpus(spec: RunSpec) -> Corpus:
    """The run's data; InputError if model or layout do not fit it, or if they are not those that the run began with."""
    corpus = Corpus.open(spec.data.path)
    vocab = corpus.manifest.tokenizer.vocab_size
    if vocab > spec.model.vocab_size:
        raise InputError(
            f"the tokenizer does not match the model: {spec.data.path} has {vocab} tokens, the model only "
            f"vocab_size = {spec.model.vocab_size}; set model.vocab_size={vocab}"
        )
    require_same_data(spec, corpus)
    return corpus


def require_same_data(spec: RunSpec, corpus: Corpus) -> None:
    """InputError if ``spec`` belongs to a run that began with other data than ``corpus``."""
    wanted = spec.data.sha256
    if wanted is not None and wanted != (found := data_sha256(corpus)):
        raise InputError(
            f"{spec.data.path}: these are not the data that the run began with (data.sha256 is {wanted[:12]}, theirs "
            f"{found[:12]}): they were prepared again from other text or with other options; put the data back, say "
            f"with data.path where they lie now, or start another run"
        )


def data_sha256(corpus: Corpus) -> str:
    """What the data hold, wherever they lie and whatever they were prepared from: of the hashes of all their files."""
    return hashlib.sha256(json.dumps(sorted(corpus.manifest.file_hashes().items())).encode()).hexdigest()


def facts(spec: RunSpec, corpus: Corpus) -> str:
    """One line: how large the model is, how long the run, and how often it reads the data."""
    count = count_parameters(spec.model)
    tokens = corpus.split("train").n_tokens
    read = spec.schedule.steps * spec.layout.global_batch_size * spec.layout.seq_len
    size = f"{_short(count.total)} parameters"
    if count.active != count.total:
        size += f" ({_short(count.active)} active for a token)"
    times = read / tokens if tokens else 0.0
    often = f"read {times:,.1f} times" if times >= 1 else f"of which {times:.0%} are read"
    return f"{size}; {tokens:,} tokens of data, {often} in {spec.schedule.steps:,} steps"


def _short(count: int) -> str:
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return str(count)
