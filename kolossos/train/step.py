"""One optimizer step: a function of the model, the optimizer and the tokens; no disk, no clock, no data set."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from kolossos.model.decoder import Decoder
from kolossos.specs.run import LossSpec
from kolossos.train.optimizer import Optimizer


@dataclass
class MicroBatch:
    """Token ids and targets [B, S] (int64), and the document of each position or None."""

    tokens_BS: Tensor
    targets_BS: Tensor
    document_BS: Tensor | None = None


@dataclass
class StepResult:
    """Tensors, so that nothing waits for the device before it is asked.

    loss: mean nats a token over the global batch. balance, z: the router's losses, load_LE its loads (None if dense).
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
    n_micro_batches: int,
    losses: LossSpec,
    dtype: torch.dtype,
    lr_factor: float,
) -> StepResult:
    """Forward and backward over all micro-batches of equal size, then one update."""
    loss, balance, z, load = None, None, None, None
    for batch in micro_batches:
        hidden_BSD, router = model(batch.tokens_BS, dtype=dtype, document_BS=batch.document_BS)
        nats = model.loss(hidden_BSD, batch.targets_BS)
        micro_loss = nats / (batch.targets_BS.numel() * n_micro_batches)
        objective = micro_loss
        if router is not None:
            objective = objective + (losses.balance * router.balance + losses.router_z * router.z) / n_micro_batches
            balance = _add(balance, router.balance.detach() / n_micro_batches)
            z = _add(z, router.z.detach() / n_micro_batches)
            load = _add(load, router.load_LE / n_micro_batches)
        objective.backward()
        loss = _add(loss, micro_loss.detach())
    assert loss is not None
    return StepResult(loss, optimizer.step(lr_factor), balance, z, load)


def _add(total: Tensor | None, part: Tensor) -> Tensor:
    return part if total is None else total + part
