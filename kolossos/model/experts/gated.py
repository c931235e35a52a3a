"""The experts themselves: gated MLPs on rows sorted by expert.

Shapes: D dim, E experts, F expert_dim, R rows sorted by expert.
"""

from typing import Any

import torch
from torch import Tensor, nn

from kolossos.model.activation import activation, activation_backward
from kolossos.model.experts.grouped import grouped_mm, grouped_outer
from kolossos.model.held import usable
from kolossos.specs.model import MoESpec


class Experts(nn.Module):
    """E gated MLPs on rows sorted by expert, each row's result weighted with its gate.

    ``cast_again``: as `Linear`.
    """

    cast_again = False

    def __init__(self, dim: int, moe: MoESpec, activation_name: str):
        super().__init__()
        self.activation_name = activation_name
        self.gate = nn.Parameter(torch.empty(moe.n_experts, dim, moe.expert_dim))
        self.up = nn.Parameter(torch.empty(moe.n_experts, dim, moe.expert_dim))
        self.down = nn.Parameter(torch.empty(moe.n_experts, moe.expert_dim, dim))

    def forward(self, x_RD: Tensor, gates_R: Tensor, ends_E: Tensor) -> Tensor:
        gate, up, down = (usable(w) for w in (self.gate, self.up, self.down))
        if not self.cast_again:
            gate, up, down = (w.to(x_RD.dtype) for w in (gate, up, down))
        return GatedExperts.apply(x_RD, gates_R, gate, up, down, ends_E, self.activation_name)  # type: ignore[return-value]


class GatedExperts(torch.autograd.Function):
    """down(act(x gate) * (x up) * router gate), a product of its own so that backward keeps only x and two hidden
    tensors: the gate is applied before ``down``, where its gradient needs no stored output. Weights of another dtype
    are kept as they are and cast in both passes."""

    @staticmethod
    def forward(
        ctx: Any,
        x_RD: Tensor,
        gates_R: Tensor,
        gate_EDF: Tensor,
        up_EDF: Tensor,
        down_EFD: Tensor,
        ends_E: Tensor,
        activation_name: str,
    ) -> Tensor:
        dtype = x_RD.dtype
        gate_RF = grouped_mm(x_RD, gate_EDF.to(dtype), ends_E)
        up_RF = grouped_mm(x_RD, up_EDF.to(dtype), ends_E)
        hidden_RF = (activation(activation_name)(gate_RF) * up_RF * gates_R[:, None]).to(dtype)
        ctx.save_for_backward(x_RD, gates_R, gate_EDF, up_EDF, down_EFD, ends_E, gate_RF, up_RF)
        ctx.activation_name = activation_name
        return grouped_mm(hidden_RF, down_EFD.to(dtype), ends_E)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x_RD, gates_R, gate_EDF, up_EDF, down_EFD, ends_E, gate_RF, up_RF = ctx.saved_tensors
        grad_RD = grads[0].contiguous()
        dtype = x_RD.dtype
        d_hidden_RF = grouped_mm(grad_RD, down_EFD.to(dtype).transpose(1, 2), ends_E)
        active_RF = activation(ctx.activation_name)(gate_RF)
        ungated_RF = active_RF * up_RF
        d_gates_R = (d_hidden_RF * ungated_RF).to(gates_R.dtype).sum(-1)
        d_ungated_RF = d_hidden_RF * gates_R[:, None]
        d_gate_RF = activation_backward(ctx.activation_name)((d_ungated_RF * up_RF).to(dtype), gate_RF)
        d_up_RF = (d_ungated_RF * active_RF).to(dtype)
        d_down = grouped_outer((ungated_RF * gates_R[:, None]).to(dtype), grad_RD, ends_E).to(down_EFD.dtype)
        d_gate = grouped_outer(x_RD, d_gate_RF, ends_E).to(gate_EDF.dtype)
        d_up = grouped_outer(x_RD, d_up_RF, ends_E).to(up_EDF.dtype)
        d_x = grouped_mm(d_gate_RF, gate_EDF.to(dtype).transpose(1, 2), ends_E)
        d_x = d_x + grouped_mm(d_up_RF, up_EDF.to(dtype).transpose(1, 2), ends_E)
        return d_x, d_gates_R, d_gate, d_up, d_down, None, None
