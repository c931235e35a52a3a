"""One optimizer step: a function of the model, the optimizer and the tokens; no disk, no clock, no data set.

It runs the same on whole, sharded and traced (fake) tensors. With many ranks each gets its share of the global batch:
whatever is a mean is divided by the targets of the whole global batch, and summed over micro-batches and ranks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kolossos.model.chunks import Held
from kolossos.model.decoder import Decoder, RouterLosses
from kolossos.parallel.parallelize import end_of_backward
from kolossos.parallel.pipeline import Pipeline
from kolossos.parallel.sums import ALONE, RankSums
from kolossos.specs.run import LossSpec
from kolossos.train.bad_steps import may_update
from kolossos.train.optimizer import Optimizer
from kolossos.train.watch.board import Part
from kolossos.train.watch.spikes import Spikes


@dataclass
class MicroBatch:
    """Token ids and targets [B, S] (int64), and the document of each position or None."""

    tokens_BS: Tensor
    targets_BS: Tensor
    document_BS: Tensor | None = None


@dataclass
class StepResult:
    """Of the whole global batch, the same on every rank. Tensors: nothing waits for the device before it is asked.

    loss: mean nats a token. balance, z: the router's losses, load_LE its loads (None if dense). kept: whether weights
    and optimizer were changed.
    """

    loss: Tensor
    grad_norm: Tensor
    balance: Tensor | None
    z: Tensor | None
    load_LE: Tensor | None
    kept: Tensor | bool = True


def train_step(
    model: Held,
    optimizer: Optimizer,
    micro_batches: Iterable[MicroBatch],
    *,
    n_targets: int,
    losses: LossSpec,
    dtype: torch.dtype,
    lr_factor: float,
    sums: RankSums = ALONE,
    pipeline: Pipeline | None = None,
    skip_if_not_finite: bool = False,
    spikes: Spikes | None = None,
    at: Callable[[Part], None] = lambda _: None,
    verify: Callable[[], None] = lambda: None,
) -> StepResult:
    """Forward and backward over this rank's micro-batches, of any sizes, then one update.

    n_targets: of the global batch, over all micro-batches and ranks. sums: over the ranks that have its other shares.
    pipeline: what the micro-batches (of one size then) pass through, where ``model`` is a part.
    skip_if_not_finite: leave weights and optimizer as they are if the loss or the gradients are not finite, or
    among ``spikes``.
    at: is told which part of the step begins. verify: is called when the gradients are there and nothing has changed.
    """
    totals = gradients(model, micro_batches, n_targets, losses, dtype, pipeline, at)
    verify()
    at("sums")
    loss, *of_router = sums.of_all(totals)
    at("update")
    grad_norm, kept = (
        update(optimizer, loss, lr_factor, spikes) if skip_if_not_finite else (optimizer.step(lr_factor), True)
    )
    balance, z, load_LE = of_router or (None, None, None)
    return StepResult(loss, grad_norm, balance, z, load_LE, kept)


def gradients(
    model: Held,
    micro_batches: Iterable[MicroBatch],
    n_targets: int,
    losses: LossSpec,
    dtype: torch.dtype,
    pipeline: Pipeline | None,
    at: Callable[[Part], None],
) -> list[Tensor]:
    """Forward and backward alone: this rank's part of loss, balance, z and loads."""
    micro_batches = _told(micro_batches, at)
    if pipeline is None:
        totals = _one_by_one(model, micro_batches, n_targets, losses, dtype)
    else:
        totals = _through(pipeline, model, list(micro_batches), n_targets, losses)
    at("sums")
    end_of_backward(model)
    if pipeline is not None:
        pipeline.add_up_tied()
    return totals


def update(
    optimizer: Optimizer, loss: Tensor, lr_factor: float, spikes: Spikes | None = None
) -> tuple[Tensor, Tensor | bool]:
    """One update, or none where `may_update` says no: the norm of the gradients, and which of the two it was."""
    decided: list[Tensor] = []

    def allowed(grad_norm: Tensor) -> Tensor:
        decided.append(may_update(loss, grad_norm, spikes))
        return decided[0]

    grad_norm = optimizer.step(lr_factor, allowed)
    if spikes is not None and spikes.sigmas:
        spikes.remember(loss, grad_norm)
    return grad_norm, decided[0] if decided else True


def _told(micro_batches: Iterable[MicroBatch], at: Callable[[Part], None]) -> Iterator[MicroBatch]:
    """``micro_batches``, and when one is waited for."""
    batches = iter(micro_batches)
    while True:
        at("data")
        batch = next(batches, None)
        at("forward and backward")
        if batch is None:
            return
        yield batch


def _one_by_one(
    model: Held, micro_batches: Iterable[MicroBatch], n_targets: int, losses: LossSpec, dtype: torch.dtype
) -> list[Tensor]:
    """This rank's part of loss, balance, z and loads."""
    assert isinstance(model, Decoder)  # chunks are for a pipeline
    totals: list[Tensor] = []
    for batch in micro_batches:
        hidden_BSD, router = model(batch.tokens_BS, dtype=dtype, document_BS=batch.document_BS)
        nats = model.loss(hidden_BSD, batch.targets_BS)
        objective = micro_loss = nats / n_targets
        parts = [micro_loss.detach()]
        if router is not None:
            shares = n_targets / _tokens_here(batch, model)  # as many parts of this size make the global batch
            objective = objective + _router_loss(router, losses) / shares
            parts += [x.detach() / shares for x in (router.balance, router.z, router.load_LE)]
        objective.backward()
        totals = [total + part for total, part in zip(totals, parts, strict=True)] if totals else parts
    return totals


def _through(
    pipeline: Pipeline, model: Held, batches: list[MicroBatch], n_targets: int, losses: LossSpec
) -> list[Tensor]:
    """The same where each rank has some of the layers: zeros for what the others have."""
    shares = n_targets / _tokens_here(batches[0], model)
    documents = [batch.document_BS for batch in batches if batch.document_BS is not None]
    passed = pipeline.forward_backward(
        torch.cat([batch.tokens_BS for batch in batches]),
        torch.cat([batch.targets_BS for batch in batches]),
        torch.cat(documents) if documents else None,
        len(batches),
        lambda nats: nats / n_targets,
        lambda router: _router_loss(router, losses) / shares,
    )
    loss = torch.stack(passed.losses).sum() if passed.losses else batches[0].tokens_BS.new_zeros((), dtype=torch.float)
    spec = model.spec
    if spec.moe is None:
        return [loss]
    balance, z, load_LE = loss.new_zeros(()), loss.new_zeros(()), loss.new_zeros(spec.n_layers, spec.moe.n_experts)
    for part, router in passed.routers:
        balance += router.balance.detach() / shares
        z += router.z.detach() / shares
        load_LE[list(part.layers)] += router.load_LE.detach() / shares
    return [loss, balance, z, load_LE]


def _router_loss(router: RouterLosses, losses: LossSpec) -> Tensor:
    return losses.balance * router.balance + losses.router_z * router.z


def _tokens_here(batch: MicroBatch, model: Held) -> float:
    """How many of the positions of ``batch`` are this rank's, where sequences are cut."""
    return batch.targets_BS.numel() / model.cut.ways
