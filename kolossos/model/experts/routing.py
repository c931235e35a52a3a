"""Which experts a token goes to, and moving rows to their experts and back.

The gradient of a gather is usually a scatter-add, whose order of summation threads may change from run to run. Here
every row's destination is known both ways, so both directions are gathers: the result is the same bits every time.

Shapes: N tokens, D dim, E experts, C choices (top_k), R = N x C rows sorted by expert.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kolossos.model.held import usable
from kolossos.specs.model import MoESpec


@dataclass
class Routing:
    """The router's decision for N tokens.

    gates_NC: weight of each choice (fp32). source_R: row -> flat choice (token x C + choice).
    row_NC: choice -> row, the inverse. ends_E (int32): running sum of rows an expert has.
    balance, z: the two auxiliary losses (scalars), means over these tokens. load_E: share of the rows each expert has,
    among the rows of all ranks; count_E: those rows. probs_E: mean probability of each expert over these tokens.
    """

    gates_NC: Tensor
    source_R: Tensor
    row_NC: Tensor
    ends_E: Tensor
    balance: Tensor
    z: Tensor
    load_E: Tensor
    count_E: Tensor
    probs_E: Tensor


class Router(nn.Module):
    """Softmax over all experts in fp32, then the top-k of it.

    ``sum_over_ranks`` adds up what ranks with other tokens count, or is None where there are none. The loads are all
    that needs it: given them the balance is linear in the probabilities, so that the mean over ranks of
    ``balance`` (by their tokens) is the balance of all tokens, and so are the gradients.
    """

    def __init__(self, dim: int, moe: MoESpec):
        super().__init__()
        self.moe = moe
        self.sum_over_ranks: Callable[[Tensor], Tensor] | None = None
        self.weight = nn.Parameter(torch.empty(moe.n_experts, dim))
        self.bias = nn.Parameter(torch.empty(moe.n_experts)) if moe.bias else None

    def forward(self, x_ND: Tensor) -> Routing:
        wide = torch.promote_types(x_ND.dtype, torch.float32)
        logits_NE = x_ND.to(wide) @ usable(self.weight).to(wide).t()
        if self.bias is not None:
            logits_NE = logits_NE + usable(self.bias).to(wide)
        if self.moe.router_softcap is not None:
            logits_NE = self.moe.router_softcap * torch.tanh(logits_NE / self.moe.router_softcap)
        probs_NE = logits_NE.softmax(-1)
        gates_NC, choice_NC = probs_NE.topk(self.moe.top_k, dim=-1)
        if self.moe.renormalize:
            gates_NC = gates_NC / gates_NC.sum(-1, keepdim=True)

        experts_E = torch.arange(self.moe.n_experts, device=x_ND.device)
        count_E = (choice_NC[..., None] == experts_E).sum((0, 1))
        everywhere_E = count_E if self.sum_over_ranks is None else self.sum_over_ranks(count_E)
        if self.sum_over_ranks is None:
            load_E = count_E.to(wide) / choice_NC.numel()
        else:
            load_E = everywhere_E.to(wide) / everywhere_E.to(wide).sum()
        probs_E = probs_NE.mean(0)
        source_R = torch.sort(choice_NC.flatten(), stable=True).indices
        return Routing(
            gates_NC=gates_NC,
            source_R=source_R,
            row_NC=_inverse(source_R).view_as(choice_NC),
            ends_E=count_E.cumsum(0).to(torch.int32),
            balance=balance_loss(load_E, probs_E),
            # ST-MoE, arXiv:2202.08906, equation 5
            z=torch.logsumexp(logits_NE, -1).square().mean(),
            load_E=load_E,
            count_E=everywhere_E,
            probs_E=probs_E,
        )


def balance_loss(load_E: Tensor, probs_E: Tensor) -> Tensor:
    """Switch Transformer, arXiv:2101.03961, equation 4; 1 when perfectly balanced. Of layers [L, E] too: [L]."""
    return load_E.shape[-1] * (load_E * probs_E).sum(-1)


class ToExperts(torch.autograd.Function):
    """Copy tokens into rows sorted by expert: [N, D] -> [R, D]."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, source_R: Tensor, row_NC: Tensor) -> Tensor:
        ctx.save_for_backward(row_NC)
        return x_ND[source_R // row_NC.shape[1]]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (row_NC,) = ctx.saved_tensors
        return grads[0][row_NC].sum(1), None, None


class FromExperts(torch.autograd.Function):
    """Add up each token's rows: [R, D] -> [N, D]."""

    @staticmethod
    def forward(ctx: Any, y_RD: Tensor, source_R: Tensor, row_NC: Tensor) -> Tensor:
        ctx.save_for_backward(source_R)
        ctx.top_k = row_NC.shape[1]
        return y_RD[row_NC].sum(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (source_R,) = ctx.saved_tensors
        return grads[0][source_R // ctx.top_k], None, None


class GatesToRows(torch.autograd.Function):
    """Reorder the gates into rows: [N, C] -> [R]."""

    @staticmethod
    def forward(ctx: Any, gates_NC: Tensor, source_R: Tensor, row_NC: Tensor) -> Tensor:
        ctx.save_for_backward(row_NC)
        return gates_NC.flatten()[source_R]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (row_NC,) = ctx.saved_tensors
        return grads[0][row_NC], None, None


def _inverse(permutation_R: Tensor) -> Tensor:
    positions = torch.arange(permutation_R.shape[0], device=permutation_R.device)
    return torch.empty_like(permutation_R).scatter(0, permutation_R, positions)
