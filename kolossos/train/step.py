"""One optimizer step: a function of the model, the optimizer and the tokens; no disk, no clock, no data set.

It runs the same on whole, sharded and traced (fake) tensors. With many ranks each gets its share of the global batch:
whatever is a mean is divided by the targets of the whole global batch, and summed over micro-batches and ranks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kolossos.model.decoder import Decoder
from kolossos.parallel.sums import ALONE, RankSums
from kolossos.specs.run import LossSpec
from kolossos.train.bad_steps import may_update
from kolossos.train.optimizer import Optimizer


@dataclass
class MicroBatch:
    """Token ids and targets [B, S] (int64), and the document of each position or None."""

    tokens_BS: Tensor
    targets_BS: Tensor
    document_BS: Tensor | None = None


@dataclass
class StepResult:
    """Of the whole global batch, the same on every rank. Tensors: nothing waits for the device before it is asked.

    loss: mean nats a token. balance, z: the router's losses, load_LE its loads (None if dense).
    """

    loss: Tensor
    grad_norm: Tensor
    balance: Tensor | None
    z: Tensor | None
    load_LE: Tensor | None


def train_step(
    model: Decoder,
    optimizer: Optimizer,
    micro_batches: Iterable[MicroBatch],
    *,
    n_targets: int,
    losses: LossSpec,
    dtype: torch.dtype,
    lr_factor: float,
    sums: RankSums = ALONE,
    skip_if_not_finite: bool = False,
) -> StepResult:
    """Forward and backward over this rank's micro-batches, of any sizes, then one update.

    n_targets: of the global batch, over all micro-batches and ranks. sums: over the ranks that have its other shares.
    skip_if_not_finite: leave weights and optimizer as they are if the loss or the gradients are not finite.
    """
    totals: list[Tensor] = []
    for batch in micro_batches:
        hidden_BSD, router = model(batch.tokens_BS, dtype=dtype, document_BS=batch.document_BS)
        nats = model.loss(hidden_BSD, batch.targets_BS)
        objective = micro_loss = nats / n_targets
        parts = [micro_loss.detach()]
        if router is not None:
            tokens = batch.targets_BS.numel() / model.cut.ways
            shares = n_targets / tokens  # as many parts of this size make the global batch
            objective = objective + (losses.balance * router.balance + losses.router_z * router.z) / shares
            parts += [x.detach() / shares for x in (router.balance, router.z, router.load_LE)]
        objective.backward()
        totals = [total + part for total, part in zip(totals, parts, strict=True)] if totals else parts
    loss, *of_router = sums.of_all(totals)
    grad_norm = optimizer.step(lr_factor, partial(may_update, loss) if skip_if_not_finite else None)
    balance, z, load_LE = of_router or (None, None, None)
    return StepResult(loss, grad_norm, balance, z, load_LE)
