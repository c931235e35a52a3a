"""From a RunSpec to everything the loop needs: data, model, optimizer, all checked against each other."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kolossos.data.corpus.batches import Batches
from kolossos.data.corpus.corpus import Corpus
from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.specs.run import RunSpec
from kolossos.train.compiling import compile_training
from kolossos.train.environment import choose_device, compute_dtype
from kolossos.train.evaluate import token_bytes
from kolossos.train.optimizer import Optimizer


@dataclass
class Training:
    """One run, ready to step. Its whole state is the model, the optimizer and the number of steps done."""

    spec: RunSpec
    corpus: Corpus
    batches: Batches
    bytes_of_token: np.ndarray
    model: Decoder
    optimizer: Optimizer
    device: torch.device
    dtype: torch.dtype
    compiled: str

    def state(self) -> dict[str, Tensor]:
        """Every live tensor that a checkpoint holds, by name."""
        model = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        return model | {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}

    def restart(self) -> None:
        """Set model and optimizer back to step 0."""
        initialize(self.model, self.spec.seed)
        for tensor in self.optimizer.state().values():
            tensor.zero_()


def open_corpus(spec: RunSpec) -> Corpus:
    """The run's data; InputError if model or layout do not fit it."""
    corpus = Corpus.open(spec.data.path)
    vocab = corpus.manifest.tokenizer.vocab_size
    if vocab > spec.model.vocab_size:
        raise InputError(
            f"the tokenizer does not match the model: {spec.data.path} has {vocab} tokens, the model only "
            f"vocab_size = {spec.model.vocab_size}; set model.vocab_size={vocab}"
        )
    return corpus


def prepare_training(spec: RunSpec) -> Training:
    """Build everything on the device. Raises InputError for what cannot be run here."""
    if spec.layout.world_size > 1:
        raise InputError(
            f"the layout needs {spec.layout.world_size} ranks and this is one process; "
            "set tp, pp, cp, dp_shard and dp_replicate to 1"
        )
    corpus = open_corpus(spec)
    layout = spec.layout
    batches = Batches(corpus.split("train"), layout.seq_len, layout.global_batch_size, spec.seed)
    device, dtype = choose_device(spec.compute), compute_dtype(layout.precision)
    with torch.device("meta"):
        model = Decoder(spec.model)
    model = initialize(model.to_empty(device=device), spec.seed).train()
    model.set_recompute(layout.recompute)
    compiled = compile_training(model, spec.compute.compile, device)
    optimizer = Optimizer(model, spec.optimizer)
    lengths = np.zeros(spec.model.vocab_size, dtype=np.int64)
    known = token_bytes(corpus.tokenizer())
    lengths[: len(known)] = known
    return Training(spec, corpus, batches, lengths, model, optimizer, device, dtype, compiled)
