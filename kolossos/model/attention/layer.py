"""Grouped-query attention with rotary positions, and the cache that generation reads.

Shapes: B batch, S sequence, T keys, D dim, H query heads, K key-value heads, P head_dim.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kolossos.model.attention.kernel import Reach, attend, masked_attention
from kolossos.model.attention.rotary import rotate
from kolossos.model.linear import Linear
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


class Attention(nn.Module):
    """q, k, v projections, rotation, attention, output projection; no biases.

    ``all_positions`` gives the keys or values [B, T, K, P] of all positions for those of the queries that are here.
    """

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.head_dim = spec.head_dim
        self.scale = spec.attention_scale
        self.softcap = spec.attn_softcap
        self.query = Linear(spec.dim, spec.n_heads * spec.head_dim)
        self.key = Linear(spec.dim, spec.n_kv_heads * spec.head_dim)
        self.value = Linear(spec.dim, spec.n_kv_heads * spec.head_dim)
        self.output = Linear(spec.n_heads * spec.head_dim, spec.dim)
        self.all_positions: Callable[[Tensor], Tensor] | None = None

    def forward(self, x_BSD: Tensor, context: AttentionContext, cache: LayerCache | None = None) -> Tensor:
        """[B, S, D] -> [B, S, D]; with a cache the keys are those stored there."""
        batch, length = x_BSD.shape[:2]
        q, k, v = (p(x_BSD).view(batch, length, -1, self.head_dim) for p in (self.query, self.key, self.value))
        q, k = rotate(q, context.rotary), rotate(k, context.rotary)
        if context.temperature is not None:
            q = (q * context.temperature).to(q.dtype)
        if self.all_positions is not None:
            k, v = self.all_positions(k), self.all_positions(v)
        if cache is not None:
            assert context.positions_BS is not None
            cache.write(context.positions_BS, k, v)
            k, v = cache.k_BTKP, cache.v_BTKP
        if context.allowed_BST is not None:
            out = masked_attention(q, k, v, self.scale, self.softcap, context.allowed_BST)
        else:
            reach = context.reach or Reach.of(length, None, x_BSD.device)
            out = attend(q, k, v, self.scale, self.softcap, reach)
        return self.output(out.reshape(batch, length, -1))
