"""Experts with biases, and the router's bias: GPT-OSS (openai/gpt-oss, gpt_oss/torch/model.py).

Shapes: D dim, E experts, F expert_dim, R rows sorted by expert.
"""

import torch
from torch import Tensor, nn

from kolossos.model.activation import gated
from kolossos.model.experts.gated import Experts
from kolossos.model.experts.grouped import grouped_mm
from kolossos.specs.model import MoESpec


class BiasedExperts(Experts):
    """The same with biases; the gate of a row comes last, for it weighs the bias of ``down``, too."""

    def __init__(self, dim: int, moe: MoESpec, activation_name: str):
        super().__init__(dim, moe, activation_name)
        self.gate_bias = nn.Parameter(torch.empty(moe.n_experts, moe.expert_dim))
        self.up_bias = nn.Parameter(torch.empty(moe.n_experts, moe.expert_dim))
        self.down_bias = nn.Parameter(torch.empty(moe.n_experts, dim))

    def forward(self, x_RD: Tensor, gates_R: Tensor, ends_E: Tensor) -> Tensor:
        belongs_RE = _belongs(x_RD, ends_E)  # a product in place of a gather: its backward adds in one fixed order
        gate_RF = grouped_mm(x_RD, self.gate.to(x_RD.dtype), ends_E) + belongs_RE @ self.gate_bias.to(x_RD.dtype)
        up_RF = grouped_mm(x_RD, self.up.to(x_RD.dtype), ends_E) + belongs_RE @ self.up_bias.to(x_RD.dtype)
        hidden_RF = gated(self.activation_name, gate_RF, up_RF)
        out_RD = grouped_mm(hidden_RF, self.down.to(x_RD.dtype), ends_E) + belongs_RE @ self.down_bias.to(x_RD.dtype)
        return (out_RD * gates_R[:, None]).to(x_RD.dtype)


def _belongs(x_RD: Tensor, ends_E: Tensor) -> Tensor:
    """1 where a row belongs to an expert, else 0: [R, E] in the dtype of ``x_RD``."""
    row_R = torch.arange(x_RD.shape[0], device=x_RD.device)
    starts_E = torch.cat((ends_E.new_zeros(1), ends_E[:-1]))
    return ((row_R[:, None] >= starts_E) & (row_R[:, None] < ends_E)).to(x_RD.dtype)
