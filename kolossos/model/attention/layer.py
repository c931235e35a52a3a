"""Grouped-query attention with rotary positions, and the cache that generation reads.

Shapes: B batch, S sequence, T keys, D dim, H query heads, K key-value heads, P head_dim.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kolossos.model.attention.kernel import Reach, attend, masked_attention
from kolossos.model.attention.rotary import rotate
from kolossos.model.held import usable
from kolossos.model.linear import Linear
from kolossos.model.norm import RMSNorm
from kolossos.specs.model import ModelSpec


@dataclass
class LayerCache:
    """Keys and values that one layer has seen, [B, T, K, P] each; row t holds position t."""

    k_BTKP: Tensor
    v_BTKP: Tensor

    def write(self, positions_BS: Tensor, k_BSKP: Tensor, v_BSKP: Tensor) -> None:
        """Store the keys and values of these positions, over whatever stood there."""
        batch = torch.arange(positions_BS.shape[0], device=positions_BS.device)[:, None]
        self.k_BTKP[batch, positions_BS] = k_BSKP
        self.v_BTKP[batch, positions_BS] = v_BSKP


@dataclass
class AttentionContext:
    """What all layers share in one pass.

    rotary: cos and sin tables [B or 1, S, 1, P / 2].
    temperature: factor on the queries [B or 1, S, 1, 1], or None.
    reach: which keys each position sees in causal training attention.
    allowed_BST: an explicit mask in place of ``reach`` (generation, checks).
    positions_BS: where in the cache the new keys go (generation only).
    """

    rotary: tuple[Tensor, Tensor]
    temperature: Tensor | None = None
    reach: Reach | None = None
    allowed_BST: Tensor | None = None
    positions_BS: Tensor | None = None

    def within(self, window: int, batch: int, length: int) -> "AttentionContext":
        """The context of layers that see the last ``window`` positions only (0: all)."""
        if not window:
            return self
        if self.allowed_BST is None:
            assert self.reach is not None
            return replace(self, reach=self.reach.within(window, batch))
        device = self.allowed_BST.device
        position_BS = torch.arange(length, device=device)[None] if self.positions_BS is None else self.positions_BS
        key_T = torch.arange(self.allowed_BST.shape[-1], device=device)
        return replace(self, allowed_BST=self.allowed_BST & (key_T > position_BS[..., None] - window))


class Attention(nn.Module):
    """q, k, v projections (with norms of q and k where the model has them), rotation, attention, output projection.

    ``all_positions`` gives the keys or values [B, T, K, P] of all positions for those of the queries that are here;
    ``attend`` is training's attention (a trace puts the kernel of another device there).
    """

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.head_dim = spec.head_dim
        self.scale = spec.attention_scale
        self.softcap = spec.attn_softcap
        self.query = Linear(spec.dim, spec.n_heads * spec.head_dim, spec.qkv_bias)
        self.key = Linear(spec.dim, spec.n_kv_heads * spec.head_dim, spec.qkv_bias)
        self.value = Linear(spec.dim, spec.n_kv_heads * spec.head_dim, spec.qkv_bias)
        self.output = Linear(spec.n_heads * spec.head_dim, spec.dim, spec.attn_output_bias)
        self.all_positions: Callable[[Tensor], Tensor] | None = None
        self.attend = attend
        self.norm_whole = spec.qk_norm == "whole"
        self.query_norm = self.key_norm = self.sinks = None
        if spec.qk_norm is not None:
            heads = (spec.n_heads, spec.n_kv_heads) if self.norm_whole else (1, 1)
            self.query_norm, self.key_norm = (RMSNorm(n * spec.head_dim, spec.norm_eps) for n in heads)
        if spec.attn_sinks:
            self.sinks = nn.Parameter(torch.empty(spec.n_heads))

    def forward(self, x_BSD: Tensor, context: AttentionContext, cache: LayerCache | None = None) -> Tensor:
        """[B, S, D] -> [B, S, D]; with a cache the keys are those stored there."""
        batch, length = x_BSD.shape[:2]
        q, k, v = (p(x_BSD).view(batch, length, -1, self.head_dim) for p in (self.query, self.key, self.value))
        q, k = self.normed(q, self.query_norm), self.normed(k, self.key_norm)
        q, k = rotate(q, context.rotary), rotate(k, context.rotary)
        if context.temperature is not None:
            q = (q * context.temperature).to(q.dtype)
        if self.all_positions is not None:
            k, v = self.all_positions(k), self.all_positions(v)
        if cache is not None:
            assert context.positions_BS is not None
            cache.write(context.positions_BS, k, v)
            k, v = cache.k_BTKP, cache.v_BTKP
        sinks_H = None if self.sinks is None else usable(self.sinks)
        if context.allowed_BST is not None:
            out = masked_attention(q, k, v, self.scale, self.softcap, context.allowed_BST, sinks_H)
        else:
            reach = context.reach or Reach.of(length, None, x_BSD.device)
            out = self.attend(q, k, v, self.scale, self.softcap, reach, sinks_H)
        return self.output(out.reshape(batch, length, -1))

    def normed(self, x_BSHP: Tensor, norm: RMSNorm | None) -> Tensor:
        """Queries or keys after their norm, where the model has one: of each head, or of all together."""
        if norm is None:
            return x_BSHP
        return norm(x_BSHP.flatten(2)).view_as(x_BSHP) if self.norm_whole else norm(x_BSHP)
