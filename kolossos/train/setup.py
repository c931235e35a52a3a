"""From a RunSpec to everything the loop needs: data, model, optimizer, all checked against each other.

A model comes to be in visible steps (`build_model`): built on the meta device, cut by the layout, given memory, first
values, compiled, given an optimizer. Nothing is ever whole on a rank that holds a part.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kolossos.data.corpus.batches import Batch, Batches
from kolossos.data.corpus.corpus import Corpus
from kolossos.model.chunks import Chunks, Held, decoders_of
from kolossos.model.decoder import Decoder
from kolossos.model.held import held_tensor
from kolossos.model.init import initialize
from kolossos.model.part import ModelPart
from kolossos.parallel.coordinates import data_rank
from kolossos.parallel.mesh import Meshes, build_mesh
from kolossos.parallel.parallelize import parallelize
from kolossos.parallel.pipeline import Pipeline, parts_of_rank
from kolossos.parallel.replaying import Partners
from kolossos.parallel.shares import share_of_rank
from kolossos.parallel.sums import RankSums, all_sums
from kolossos.parallel.whole import whole_model
from kolossos.specs.run import RunSpec
from kolossos.train.checkpoints.ranks import ALONE, Ranks
from kolossos.train.compiling import compile_training
from kolossos.train.environment import choose_device
from kolossos.train.evaluate import Scorers, evaluate, token_bytes
from kolossos.train.lifecycle.data import open_corpus
from kolossos.train.lifecycle.outcome import Evaluation
from kolossos.train.optimizer import Optimizer
from kolossos.train.precision import compute_dtype
from kolossos.train.step import MicroBatch, StepResult, gradients, train_step
from kolossos.train.tokens import micro_batches
from kolossos.train.watch.board import Board
from kolossos.train.watch.replay import Replay
from kolossos.train.watch.replicas import Differing, differing_replicas
from kolossos.train.watch.spikes import Spikes


@dataclass
class Training:
    """One run, ready to step. Its whole state is the model, the optimizer and the number of steps done.

    share: the sequences of each global batch that are this rank's, a range a micro-batch. sums: over the other ranks.
    batch_of: which global batch a step reads: that of its number, until the run leaves some out.
    """

    spec: RunSpec
    corpus: Corpus
    batches: Batches
    share: list[range]
    sums: RankSums
    bytes_of_token: np.ndarray
    model: Held
    optimizer: Optimizer
    spikes: Spikes
    device: torch.device
    dtype: torch.dtype
    compiled: str
    meshes: Meshes | None = None
    pipeline: Pipeline | None = None
    ranks: Ranks = ALONE
    board: Board = field(default_factory=Board)
    batch_of: Callable[[int], int] = lambda step: step

    def step(self, step: int, lr_factor: float, *, skip_if_not_finite: bool = False) -> StepResult:
        """Train on the global batch of ``step`` (from 0).

        Raises:
            Miscomputed: the step was replayed, and ranks disagree; nothing has changed.
        """
        layout, replay = self.spec.layout, self._replay_of(step)
        with replay.watching() if replay else nullcontext():
            return train_step(
                self.model,
                self.optimizer,
                self._micro_batches(step, self.share),
                n_targets=layout.global_batch_size * layout.seq_len,
                losses=self.spec.loss,
                dtype=self.dtype,
                lr_factor=lr_factor,
                sums=self.sums,
                pipeline=self.pipeline,
                skip_if_not_finite=skip_if_not_finite,
                spikes=self.spikes,
                at=self.board.at,
                verify=replay.verify if replay else lambda: None,
            )

    def _micro_batches(self, step: int, share: list[range]) -> Iterator[MicroBatch]:
        documents = self.spec.data.mask_documents
        return micro_batches(self.batches, self.batch_of(step), share, documents, self.device)

    def _replay_of(self, step: int) -> Replay | None:
        """What ``step`` (from 0) is checked by, if it is one of those that are."""
        every, layout = self.spec.compute.replay_every, self.spec.layout
        if self.meshes is None or not every or (step + 1) % every:
            return None
        partners, n_targets = Partners(layout, self.meshes.rank), layout.global_batch_size * layout.seq_len

        def again(places: int) -> None:
            batches = self._micro_batches(step, partners.share(places))
            gradients(self.model, batches, n_targets, self.spec.loss, self.dtype, self.pipeline, lambda _: None)

        return Replay(partners, self.ranks, self.model, self.board, again)

    def state(self) -> dict[str, Tensor]:
        """Every live tensor that a checkpoint holds, by name."""
        model = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        optimizer = {f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()}
        return model | optimizer | self.spikes.state()

    @property
    def place_in_data(self) -> int:
        """Which of the shares of a batch is this rank's."""
        return data_rank(self.spec.layout, self.meshes.place) if self.meshes else 0

    def evaluate(self, batches: Iterable[Batch], progress: Callable[[int], None]) -> Evaluation | None:
        """Score ``batches``, all ranks together."""
        layout = self.spec.layout
        together = Scorers(self.place_in_data, layout.data_parallel, self.sums, self.pipeline)
        return evaluate(self.model, batches, self.bytes_of_token, self.dtype, progress, together)

    def model_for_samples(self) -> Held:
        """The model as one rank can use it alone: whole, if the run writes samples. All ranks ask together."""
        if self.meshes is None or not self.spec.evaluate.sample_tokens:
            return self.model
        return whole_model(self.model, self.spec.layout, self.meshes)

    def wished(self, here: bool) -> bool:
        """Whether any rank wishes what ``here`` says of this one; the same on all."""
        return any(self.ranks.gather(here))

    def differing_replicas(self) -> Differing | None:
        """Who holds other bits than its replicas; None where nobody does, or where there are none."""
        if self.meshes is None or self.meshes.replicas == 1:
            return None
        return differing_replicas(self.state(), self.meshes, self.ranks)

    def is_finite(self) -> bool:
        """Whether all weights that are here are finite."""
        return all(bool(held_tensor(p).isfinite().all()) for p in self.model.parameters())

    def restart(self) -> None:
        """Set model and optimizer back to step 0."""
        initialize(self.model, self.spec.seed)
        for tensor in (*self.optimizer.state().values(), *self.spikes.state().values()):
            tensor.zero_()


def prepare_training(spec: RunSpec, ranks: Ranks = ALONE) -> Training:
    """Build everything on the device. Raises InputError for what cannot be run here."""
    layout = spec.layout
    device, dtype = choose_device(spec.compute), compute_dtype(layout.precision)
    mesh = build_mesh(layout, device.type)
    corpus = open_corpus(spec)
    batches = Batches(corpus.split("train"), layout.seq_len, layout.global_batch_size, spec.seed)
    model = build_model(spec, mesh, device)
    compiled = compile_training(model, spec.compute.compile, device)
    optimizer = Optimizer(model, spec.optimizer, products=dtype)
    share = share_of_rank(layout, mesh.rank if mesh else 0)
    lengths = np.zeros(spec.model.vocab_size, dtype=np.int64)
    known = token_bytes(corpus.tokenizer())
    lengths[: len(known)] = known
    return Training(
        spec,
        corpus,
        batches,
        share,
        all_sums(mesh),
        lengths,
        model,
        optimizer,
        Spikes(spec.optimizer.skip_spikes, device),
        device,
        dtype,
        compiled,
        meshes=mesh,
        pipeline=pipeline_of(spec, mesh, model, dtype),
        ranks=ranks,
    )


def build_model(spec: RunSpec, mesh: Meshes | None, device: torch.device) -> Held:
    """The model (this rank's part of it) with its first values, in training mode."""
    with torch.device("meta"):
        parts = parts_of_rank(spec.model, spec.layout, mesh.rank) if mesh else [ModelPart.whole(spec.model)]
        decoders = [Decoder(spec.model, part) for part in parts]
    for decoder in decoders:
        parallelize(decoder, spec.layout, mesh)
        decoder.set_recompute(spec.layout.recompute)
    model = decoders[0] if len(decoders) == 1 else Chunks(decoders)
    model.to_empty(device=device)
    initialize(model, spec.seed)
    return model.train()


def pipeline_of(spec: RunSpec, mesh: Meshes | None, model: Held, dtype: torch.dtype) -> Pipeline | None:
    """What micro-batches pass through where the layout has stages, or None."""
    return Pipeline(decoders_of(model), spec.layout, mesh, dtype) if mesh is not None and spec.layout.pp > 1 else None
