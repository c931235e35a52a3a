"""The decoder's pass with torch alone, where there is no compiler and on a GPU: as exact, slower.

A product has always the same number of rows, so that the library always does the same sums; attention is done position
by position over the pages that the position sees, so that its shapes are the position's own.

Shapes: N tokens, R rows of a tile, D dim, H heads, K key-value heads, G = H / K, P head_dim, T keys.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kolossos.model.activation import gated
from kolossos.model.attention.layer import Attention
from kolossos.model.attention.rotary import attention_temperature, rotary_tables, rotate
from kolossos.model.decoder import Decoder, Layer
from kolossos.model.experts.biased import BiasedExperts
from kolossos.model.experts.gated import Experts
from kolossos.model.experts.moe import MixtureOfExperts
from kolossos.model.experts.routing import Routing
from kolossos.serve.engine.batch import PAGE, Batch

TILE = {"cpu": 16, "cuda": 64}


class EagerDecoder:
    """A `Network` on the device and in the dtype of the model's weights."""

    def __init__(self, model: Decoder, pages: int):
        self._decoder, self.spec, self.pages = model.eval(), model.spec, pages
        self.vocab_size, self.context = model.spec.vocab_size, model.spec.max_seq_len
        weight = model.embedding.weight
        self._device, self._tile = weight.device, TILE.get(weight.device.type, 64)
        self.kind = f"{str(weight.dtype).removeprefix('torch.')} by torch on {weight.device.type}"
        shape = (model.spec.n_layers, pages, PAGE, model.spec.n_kv_heads, model.spec.head_dim)
        self._keys, self._values = (torch.zeros(shape, device=self._device, dtype=weight.dtype) for _ in range(2))

    @torch.inference_mode()
    def forward(self, batch: Batch, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Network`."""
        spec, model = self.spec, self._decoder
        positions_N = torch.from_numpy(batch.positions).to(self._device)
        rotary = tuple(table[0] for table in rotary_tables(spec, positions_N[None]))
        temperature = attention_temperature(spec, positions_N[None])
        owner_N = np.repeat(np.arange(len(batch.firsts) - 1), np.diff(batch.firsts))
        seen = [
            torch.from_numpy(batch.tables[owner, : position // PAGE + 1]).to(self._device).long()
            for owner, position in zip(owner_N, batch.positions, strict=True)
        ]
        ids_N = torch.from_numpy(batch.ids).to(self._device).long()
        x_ND = F.embedding(ids_N, model.embedding.weight) * spec.embedding_multiplier
        for number, layer in enumerate(model.layers):
            assert isinstance(layer, Layer)
            at = _Place(number, spec.window_of(number), positions_N, rotary, temperature, seen)  # type: ignore[arg-type]
            x_ND = self._layer(layer, x_ND, at)
        x_ND = model.norm(x_ND)
        wanted_MD = x_ND[torch.from_numpy(batch.wanted).to(self._device).long()]
        logits = self._tiled(model.logits, wanted_MD, self.vocab_size)
        return logits.float().cpu().numpy(), x_ND.float().cpu().numpy() if hidden else None

    def forget(self, pages: Sequence[int]) -> None:
        """See `Network`."""
        for pool in (self._keys, self._values):
            pool[:, list(pages)] = 0.0

    def _tiled(self, product: Callable[[Tensor], Tensor], x_ND: Tensor, width: int) -> Tensor:
        """``product`` of rows, always of as many at once."""
        rows = x_ND.shape[0]
        if rows == 0:
            return x_ND.new_empty(0, width)
        padded = F.pad(x_ND, (0, 0, 0, -rows % self._tile))
        return torch.cat([product(tile) for tile in padded.split(self._tile)])[:rows]

    def _linear(self, linear: torch.nn.Module, x_ND: Tensor) -> Tensor:
        return self._tiled(linear, x_ND, linear.weight.shape[0])  # type: ignore[union-attr, index]

    def _layer(self, layer: Layer, x_ND: Tensor, at: "_Place") -> Tensor:
        attended = self._attention(layer.attention, layer.attention_norm(x_ND) if layer.attention_norm else x_ND, at)
        x_ND = x_ND + (layer.attention_post_norm(attended) if layer.attention_post_norm else attended)
        normed = layer.ffn_norm(x_ND) if layer.ffn_norm else x_ND
        if layer.moe is None:
            assert layer.mlp is not None
            branch = self._linear_mlp(layer.mlp, normed)
        else:
            branch = self._experts(layer.moe, normed)
            if layer.mlp is not None:
                branch = (branch + self._linear_mlp(layer.mlp, normed)) * layer.branch_scale
        return x_ND + (layer.ffn_post_norm(branch) if layer.ffn_post_norm else branch)

    def _linear_mlp(self, mlp: torch.nn.Module, x_ND: Tensor) -> Tensor:
        return self._tiled(mlp, x_ND, self.spec.dim)

    def _attention(self, layer: Attention, x_ND: Tensor, at: "_Place") -> Tensor:
        rows = x_ND.shape[0]
        q, k, v = (
            self._linear(part, x_ND).view(1, rows, -1, layer.head_dim) for part in (layer.query, layer.key, layer.value)
        )
        q, k = layer.normed(q, layer.query_norm), layer.normed(k, layer.key_norm)
        q, k = rotate(q, at.rotary), rotate(k, at.rotary)
        if at.temperature is not None:
            q = (q * at.temperature).to(q.dtype)
        keys, values = self._keys[at.number], self._values[at.number]
        pages_N = torch.stack([pages[-1] for pages in at.seen])
        keys[pages_N, at.positions % PAGE], values[pages_N, at.positions % PAGE] = k[0], v[0]
        out = [self._attend(layer, q[0, n], keys[pages], values[pages], at, n) for n, pages in enumerate(at.seen)]
        return self._linear(layer.output, torch.stack(out).flatten(1))

    def _attend(self, layer: Attention, q_HP: Tensor, k: Tensor, v: Tensor, at: "_Place", row: int) -> Tensor:
        """One position's heads over whole pages; what lies beyond its position, or its window, weighs nothing."""
        k_KPT = k.flatten(0, 1).permute(1, 2, 0)
        v_KTP = v.flatten(0, 1).transpose(0, 1)
        q_KGP = q_HP.view(k_KPT.shape[0], -1, layer.head_dim)
        logits = (q_KGP @ k_KPT).float() * layer.scale
        if layer.softcap is not None:
            logits = layer.softcap * torch.tanh(logits / layer.softcap)
        key_T = torch.arange(k_KPT.shape[-1], device=q_HP.device)
        hidden_T = key_T > at.positions[row]
        if at.window:
            hidden_T |= key_T <= at.positions[row] - at.window
        logits = logits.masked_fill(hidden_T, float("-inf"))
        if layer.sinks is not None:
            sinks = layer.sinks.float().view(*q_KGP.shape[:2], 1)
            logits = torch.cat((logits, sinks), dim=-1)
        weights = logits.softmax(-1)[..., : key_T.shape[0]]
        return (weights.to(v.dtype) @ v_KTP).flatten(0, 1)

    def _experts(self, moe: MixtureOfExperts, x_ND: Tensor) -> Tensor:
        experts, router = moe.experts, moe.router
        routed = [router(tile) for tile in F.pad(x_ND, (0, 0, 0, -x_ND.shape[0] % self._tile)).split(self._tile)]
        top = moe.router.moe.top_k
        gates_NC = torch.cat([r.gates_NC for r in routed])[: x_ND.shape[0]]
        choice_NC = torch.cat([_choice(r) for r in routed])[: x_ND.shape[0]]
        out_NCD = x_ND.new_zeros(x_ND.shape[0], top, self.spec.dim)
        for expert in choice_NC.unique().tolist():
            n, c = (choice_NC == expert).nonzero(as_tuple=True)
            out_NCD[n, c] = self._tiled(lambda rows, e=expert: _expert(experts, e, rows), x_ND[n], self.spec.dim)
        return (out_NCD * gates_NC[..., None].to(out_NCD.dtype)).sum(1)


class _Place:
    """What the layers of one pass share, and which layer it is."""

    def __init__(
        self,
        number: int,
        window: int,
        positions: Tensor,
        rotary: tuple[Tensor, Tensor],
        temperature: Tensor | None,
        seen: list[Tensor],
    ):
        self.number, self.window, self.positions = number, window, positions.long()
        self.rotary, self.temperature, self.seen = rotary, temperature, seen


def _choice(routing: Routing) -> Tensor:
    """The expert of each row and place, from the rows' places in the order of experts."""
    return torch.searchsorted(routing.ends_E.to(torch.int64), routing.row_NC, right=True)


def _expert(experts: Experts, number: int, x_RD: Tensor) -> Tensor:
    gate, up, down = (getattr(experts, name)[number].to(x_RD.dtype) for name in ("gate", "up", "down"))
    gate_RF, up_RF = x_RD @ gate, x_RD @ up
    if not isinstance(experts, BiasedExperts):
        return gated(experts.activation_name, gate_RF, up_RF) @ down
    gate_RF, up_RF = gate_RF + experts.gate_bias[number], up_RF + experts.up_bias[number]
    return gated(experts.activation_name, gate_RF, up_RF) @ down + experts.down_bias[number]
