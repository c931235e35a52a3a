"""The decoder of the plain loop: Llama's (dense) or Mixtral's (MoE) layer, written for speed with torch alone.

A matrix each for q, k, v, gate and up: on a CPU the strided parts of a fused one cost more than its matmul saves (up to
10 % of a step). Attention by SDPA, which takes grouped kv heads as they are.
B batch, S sequence, D width, N tokens (B * S), H heads, C head_dim, P = H * C, F ffn_dim, E experts, K of them a token.
"""

import torch
import torch.nn.functional as F
from torch import nn

from .contest import Shape


def rotary_table(shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    frequency_C = shape.rope_theta ** (-torch.arange(0, shape.head_dim, 2) / shape.head_dim)
    angle_SC = torch.arange(shape.seq_len)[:, None] * frequency_C.repeat(2)
    return angle_SC.cos(), angle_SC.sin()


def rotate(x_BHSC: torch.Tensor, cos_SC: torch.Tensor, sin_SC: torch.Tensor) -> torch.Tensor:
    left, right = x_BHSC.chunk(2, dim=-1)
    return x_BHSC * cos_SC.to(x_BHSC.dtype) + torch.cat((-right, left), dim=-1) * sin_SC.to(x_BHSC.dtype)


class Attention(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.head_dim = shape.head_dim
        self.q = nn.Linear(shape.dim, shape.n_heads * shape.head_dim, bias=False)
        self.k = nn.Linear(shape.dim, shape.n_kv_heads * shape.head_dim, bias=False)
        self.v = nn.Linear(shape.dim, shape.n_kv_heads * shape.head_dim, bias=False)
        self.out = nn.Linear(shape.n_heads * shape.head_dim, shape.dim, bias=False)

    def heads(self, x_BSP: torch.Tensor) -> torch.Tensor:
        return x_BSP.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def forward(self, x_BSD: torch.Tensor, cos_SC: torch.Tensor, sin_SC: torch.Tensor) -> torch.Tensor:
        q = rotate(self.heads(self.q(x_BSD)), cos_SC, sin_SC)
        k = rotate(self.heads(self.k(x_BSD)), cos_SC, sin_SC)
        y_BHSC = F.scaled_dot_product_attention(q, k, self.heads(self.v(x_BSD)), is_causal=True, enable_gqa=True)
        return self.out(y_BHSC.transpose(1, 2).flatten(-2))


class FeedForward(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.gate = nn.Linear(shape.dim, shape.ffn_dim, bias=False)
        self.up = nn.Linear(shape.dim, shape.ffn_dim, bias=False)
        self.down = nn.Linear(shape.ffn_dim, shape.dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class LoopedExperts(nn.Module):
    """One feed-forward after the other, each on the tokens that chose it."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.experts = nn.ModuleList(FeedForward(shape) for _ in range(shape.n_experts))

    def forward(self, x_ND: torch.Tensor, weight_NK: torch.Tensor, expert_NK: torch.Tensor) -> torch.Tensor:
        y_ND = torch.zeros_like(x_ND)
        for index, expert in enumerate(self.experts):
            token, choice = torch.where(expert_NK == index)
            y = expert(x_ND[token]) * weight_NK[token, choice, None]
            y_ND = y_ND.index_add(0, token, y.to(y_ND.dtype))
        return y_ND


class GroupedExperts(nn.Module):
    """The tokens sorted by expert, then one grouped matmul over all experts."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.gate_EDF = nn.Parameter(torch.empty(shape.n_experts, shape.dim, shape.ffn_dim))
        self.up_EDF = nn.Parameter(torch.empty(shape.n_experts, shape.dim, shape.ffn_dim))
        self.down_EFD = nn.Parameter(torch.empty(shape.n_experts, shape.ffn_dim, shape.dim))

    def forward(self, x_ND: torch.Tensor, weight_NK: torch.Tensor, expert_NK: torch.Tensor) -> torch.Tensor:
        # autocast does not know grouped_mm, so the casts it would make are made here
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x_ND.dtype
        order = expert_NK.flatten().argsort()
        token = order // expert_NK.shape[1]
        ends_E = torch.bincount(expert_NK.flatten(), minlength=len(self.down_EFD)).cumsum(0).to(torch.int32)
        x = x_ND.to(dtype).index_select(0, token)
        gate = F.grouped_mm(x, self.gate_EDF.to(dtype), offs=ends_E)
        up = F.grouped_mm(x, self.up_EDF.to(dtype), offs=ends_E)
        y = F.grouped_mm(F.silu(gate) * up, self.down_EFD.to(dtype), offs=ends_E)
        y = y * weight_NK.flatten()[order, None].to(dtype)
        return torch.zeros_like(x_ND).index_add(0, token, y.to(x_ND.dtype))


class MixtureOfExperts(nn.Module):
    """Mixtral's router: the chosen gates are renormalised; no balancing loss."""

    def __init__(self, shape: Shape, experts: str):
        super().__init__()
        self.experts_per_token = shape.experts_per_token
        self.router = nn.Linear(shape.dim, shape.n_experts, bias=False)
        self.experts = GroupedExperts(shape) if experts == "grouped" else LoopedExperts(shape)

    def forward(self, x_BSD: torch.Tensor) -> torch.Tensor:
        x_ND = x_BSD.flatten(0, 1)
        logit_NK, expert_NK = self.router(x_ND).float().topk(self.experts_per_token)
        return self.experts(x_ND, logit_NK.softmax(-1), expert_NK).view_as(x_BSD)


class Layer(nn.Module):
    def __init__(self, shape: Shape, experts: str):
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.dim, shape.norm_eps)
        self.attention = Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.dim, shape.norm_eps)
        self.ffn = MixtureOfExperts(shape, experts) if shape.n_experts else FeedForward(shape)

    def forward(self, x_BSD: torch.Tensor, cos_SC: torch.Tensor, sin_SC: torch.Tensor) -> torch.Tensor:
        x_BSD = x_BSD + self.attention(self.attention_norm(x_BSD), cos_SC, sin_SC)
        return x_BSD + self.ffn(self.ffn_norm(x_BSD))


class PlainDecoder(nn.Module):
    def __init__(self, shape: Shape, experts: str):
        super().__init__()
        self.embedding = nn.Embedding(shape.vocab_size, shape.dim)
        self.layers = nn.ModuleList(Layer(shape, experts) for _ in range(shape.n_layers))
        self.norm = nn.RMSNorm(shape.dim, shape.norm_eps)
        self.head = nn.Linear(shape.dim, shape.vocab_size, bias=False)
        self.cos_SC, self.sin_SC = rotary_table(shape)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=shape.init_std)

    def forward(self, tokens_BS: torch.Tensor) -> torch.Tensor:
        x_BSD = self.embedding(tokens_BS)
        for layer in self.layers:
            x_BSD = layer(x_BSD, self.cos_SC, self.sin_SC)
        return self.head(self.norm(x_BSD))
