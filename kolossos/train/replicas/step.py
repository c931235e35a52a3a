"""What one replica computes of a step: gradients and losses of its units, each by itself, as vectors.

Nothing here waits for another replica inside a forward or backward pass: what their routers must know of each other,
the loads of the experts, is exchanged between the two. So a replica that vanishes breaks no pass in the middle.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kolossos.model.decoder import Decoder, RouterLosses
from kolossos.model.experts.routing import balance_loss
from kolossos.model.held import held_tensor
from kolossos.parallel.parallelize import end_of_backward
from kolossos.parallel.sums import RankSums
from kolossos.parallel.units import Unit
from kolossos.specs.run import LossSpec
from kolossos.train.step import MicroBatch, StepResult


@dataclass(frozen=True)
class Work:
    """How a unit of a step is computed here. n_targets: of the global batch. sums: over the ranks of this replica.

    add_counts: adds up the rows of experts, [L, E], over all replicas.
    """

    model: Decoder
    n_targets: int
    losses: LossSpec
    dtype: torch.dtype
    sums: RankSums
    add_counts: Callable[[Tensor], Tensor]


@dataclass
class Vectors:
    """This replica's vectors, and what each is: (pass, share), or (-1, share) for the sum over all passes."""

    units: list[Unit]
    values: list[Tensor]


def vectors_of(work: Work, units: Sequence[Unit], own: int, batch_of: Callable[[Unit], MicroBatch]) -> Vectors:
    """The vectors of ``units``, pass by pass; those of share ``own`` are added up to one.

    A vector holds the gradients that are here, in the order of the parameters, and behind them the sums over the
    replica of loss, balance, z and loads.
    """
    found = Vectors([], [])
    mine: Tensor | None = None
    for of_pass in _by_pass(units):
        for unit, vector in _pass_vectors(work, of_pass, batch_of):
            if unit[1] != own:
                found.units.append(unit)
                found.values.append(vector)
            elif mine is None:
                mine = vector
            else:
                mine += vector
    assert mine is not None
    return Vectors([*found.units, (-1, own)], [*found.values, mine])


def units_sent(units: Sequence[Unit], own: int) -> list[Unit]:
    """The units that a member with these ``units`` sends vectors of, as `vectors_of` orders them."""
    return [*(unit for unit in units if unit[1] != own), (-1, own)]


def put_back(model: Decoder, total: Tensor) -> StepResult:
    """Set the gradients to ``total`` and give what stands behind them; the gradient's norm is not known yet."""
    at = 0
    for parameter in model.parameters():
        n = held_tensor(parameter).numel()
        gradient = parameter.grad
        if gradient is None:
            gradient = parameter.grad = torch.zeros_like(parameter)
        held_tensor(gradient).copy_(total[at : at + n].view_as(held_tensor(gradient)))
        at += n
    loss, rest = total[at].clone(), total[at + 1 :]
    unknown = loss.new_full((), torch.nan)
    moe = model.spec.moe
    if moe is None:
        return StepResult(loss, unknown, None, None, None)
    return StepResult(loss, unknown, rest[0].clone(), rest[1].clone(), rest[2:].view(-1, moe.n_experts).clone())


def _by_pass(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    for number in sorted({number for number, _ in units}):
        yield [unit for unit in units if unit[0] == number]


def _pass_vectors(
    work: Work, units: Sequence[Unit], batch_of: Callable[[Unit], MicroBatch]
) -> Iterator[tuple[Unit, Tensor]]:
    """Unit by unit. Several units of one pass need the loads of each other: all but the last are run twice."""
    if work.model.spec.moe is None:
        for unit in units:
            yield unit, _backward(work, *_forward(work, batch_of(unit)), None)
        return
    *before, last = units
    counts_LE: Tensor | None = None
    for unit in before:
        router = _forward(work, batch_of(unit))[1]
        assert router is not None
        counts_LE = router.count_LE if counts_LE is None else counts_LE + router.count_LE
    nats, router, tokens = _forward(work, batch_of(last))
    assert router is not None
    counts_LE = router.count_LE if counts_LE is None else counts_LE + router.count_LE
    counts_LE = work.add_counts(counts_LE)
    yield last, _backward(work, nats, router, tokens, counts_LE)
    for unit in before:
        yield unit, _backward(work, *_forward(work, batch_of(unit)), counts_LE)


def _forward(work: Work, batch: MicroBatch) -> tuple[Tensor, RouterLosses | None, float]:
    """The sum of nats, the router's losses, and how many positions were this rank's."""
    hidden_BSD, router = work.model(batch.tokens_BS, dtype=work.dtype, document_BS=batch.document_BS)
    return work.model.loss(hidden_BSD, batch.targets_BS), router, batch.targets_BS.numel() / work.model.cut.ways


def _backward(work: Work, nats: Tensor, router: RouterLosses | None, tokens: float, counts_LE: Tensor | None) -> Tensor:
    """The gradients of one unit, and behind them what it brings to the losses of the step."""
    objective = micro_loss = nats / work.n_targets
    parts = [micro_loss.detach()]
    if router is not None:
        assert counts_LE is not None
        load_LE = counts_LE.to(router.probs_LE.dtype)
        load_LE = load_LE / load_LE.sum(-1, keepdim=True)
        balance = balance_loss(load_LE, router.probs_LE).sum() / work.model.spec.n_moe_layers
        shares = work.n_targets / tokens
        objective = objective + (work.losses.balance * balance + work.losses.router_z * router.z) / shares
        parts += [balance.detach() / shares, router.z.detach() / shares, load_LE / shares]
    objective.backward()
    end_of_backward(work.model)
    parts = work.sums.of_all(parts)
    gradients = []
    for parameter in work.model.parameters():
        held = held_tensor(parameter if parameter.grad is None else parameter.grad)
        gradients.append(torch.zeros_like(held).flatten() if parameter.grad is None else held.detach().flatten())
        parameter.grad = None
    return torch.cat([*gradients, *(part.flatten() for part in parts)])
