"""The decoder: embedding, layers, final norm, output. Every family is values of one ModelSpec.

Shapes: B batch, S sequence, T cached positions, D dim, V vocabulary, L layers, E experts.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kolossos.model.attention.kernel import Reach
from kolossos.model.attention.layer import Attention, AttentionContext, LayerCache
from kolossos.model.attention.rotary import attention_temperature, rotary_tables
from kolossos.model.buildable import require_buildable
from kolossos.model.experts.moe import MixtureOfExperts
from kolossos.model.held import usable
from kolossos.model.linear import Linear
from kolossos.model.loss import ChunkLoss, chunk_loss, linear_cross_entropy
from kolossos.model.mlp import GatedMLP
from kolossos.model.norm import RMSNorm
from kolossos.model.part import Layers, ModelPart
from kolossos.model.sequence import WHOLE, SequenceCut
from kolossos.specs.model import ModelSpec


@dataclass
class RouterLosses:
    """Means over the layers that have experts (of a part: its share of that mean, and the loads of its layers).

    balance is 1 when every expert has the same load; count_LE, probs_LE: what it is made of, by layer (see Routing).
    """

    balance: Tensor
    z: Tensor
    load_LE: Tensor
    count_LE: Tensor
    probs_LE: Tensor


LayerLosses = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
"""balance, z, load_E, count_E, probs_E of one layer."""


class Layer(nn.Module):
    """Attention, then a dense MLP, experts, or both; each residual branch between its norms."""

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.branch_scale = spec.branch_scale
        self.recompute_feed_forward = False
        self.attention_norm = RMSNorm(spec.dim, spec.norm_eps) if spec.pre_norm else None
        self.attention = Attention(spec)
        self.ffn_norm = RMSNorm(spec.dim, spec.norm_eps) if spec.pre_norm else None
        self.mlp = GatedMLP(spec.dim, spec.ffn_dim, spec.activation, spec.mlp_bias) if spec.ffn_dim else None
        self.moe = MixtureOfExperts(spec.dim, spec.moe, spec.activation) if spec.moe else None
        self.attention_post_norm = RMSNorm(spec.dim, spec.norm_eps) if spec.post_norm else None
        self.ffn_post_norm = RMSNorm(spec.dim, spec.norm_eps) if spec.post_norm else None

    def forward(
        self, x_BSD: Tensor, context: AttentionContext, cache: LayerCache | None = None
    ) -> tuple[Tensor, LayerLosses | None]:
        """The residual stream after this layer, and what its router says where it has experts."""
        attended = self.attention(self.attention_norm(x_BSD) if self.attention_norm else x_BSD, context, cache)
        x_BSD = x_BSD + (self.attention_post_norm(attended) if self.attention_post_norm else attended)
        normed = self.ffn_norm(x_BSD) if self.ffn_norm else x_BSD
        if self.recompute_feed_forward and self.training:
            branch, losses = checkpoint(self._feed_forward, normed, use_reentrant=False)  # type: ignore[misc]
        else:
            branch, losses = self._feed_forward(normed)
        return x_BSD + (self.ffn_post_norm(branch) if self.ffn_post_norm else branch), losses

    def _feed_forward(self, x_BSD: Tensor) -> tuple[Tensor, LayerLosses | None]:
        if self.moe is None:
            assert self.mlp is not None
            return self.mlp(x_BSD), None
        out, routing = self.moe(x_BSD)
        if self.mlp is not None:
            out = (out + self.mlp(x_BSD)) * self.branch_scale
        return out, (routing.balance, routing.z, routing.load_E, routing.count_E, routing.probs_E)


class Decoder(nn.Module):
    """Tokens to hidden states (`forward`), and hidden states to logits (`logits`) or, chunked, to a loss.

    Builds on the meta device; `kolossos.model.init.initialize` gives the weights their first values. Of a ``part``
    only its layers are built, under the names they have in the whole: a part that is not the first takes the residual
    stream in place of tokens, one that is not the last gives it. A tied embedding is in the first and the last.
    """

    embedding: nn.Embedding  # missing in parts that do not hold them
    norm: RMSNorm
    output: Linear | None

    def __init__(self, spec: ModelSpec, part: ModelPart | None = None):
        super().__init__()
        require_buildable(spec)
        self.spec = spec
        self.part = part = part or ModelPart.whole(spec)
        if part.first or (part.last and spec.tied_embeddings):
            self.embedding = nn.Embedding(spec.vocab_size, spec.dim, _weight=torch.empty(spec.vocab_size, spec.dim))
        self.layers = Layers((number, Layer(spec)) for number in part.layers)
        if part.last:
            self.norm = RMSNorm(spec.dim, spec.norm_eps)
            self.output = None if spec.tied_embeddings else Linear(spec.dim, spec.vocab_size)
        self.recompute_layers = False
        self.cut: SequenceCut = WHOLE
        self.sharding = ""  # what of it is cut over ranks, as in Layout; nothing on one rank
        self.chunk_loss: ChunkLoss = chunk_loss

    def set_recompute(self, mode: Literal["none", "selective", "full"]) -> None:
        """What backward computes again instead of keeping: nothing, the feed-forward branches, or whole layers.

        Attention logits are computed again in every mode.
        """
        self.recompute_layers = mode == "full"
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.recompute_feed_forward = mode == "selective"

    @property
    def output_weight(self) -> Tensor:
        """The matrix [V, D] that turns hidden states into logits; of the last part."""
        return usable(self.embedding.weight if self.output is None else self.output.weight)

    @property
    def copies(self) -> frozenset[str]:
        """Names of parameters that another part holds, too, and that count there where all parts are added up."""
        tied = self.part.last and not self.part.first and self.spec.tied_embeddings
        return frozenset({"embedding.weight"} if tied else ())

    def forward(
        self,
        tokens_BS: Tensor,
        *,
        dtype: torch.dtype = torch.float32,
        document_BS: Tensor | None = None,
        allowed_BST: Tensor | None = None,
        positions_BS: Tensor | None = None,
        caches: list[LayerCache] | None = None,
    ) -> tuple[Tensor, RouterLosses | None]:
        """Final hidden states [B, S, D] in ``dtype``, and the router's losses where there are experts.

        ``tokens_BS`` are ids, or, for a part that is not the first, the residual stream [B, S, D] of the part before.
        Without ``allowed_BST`` attention is causal, within equal ``document_BS`` if that is given. With ``caches``
        the tokens stand at ``positions_BS`` and their keys and values are written there. Where sequences are ``cut``
        over ranks tokens and documents are whole nevertheless, and hidden states those of this rank's positions.
        """
        length = tokens_BS.shape[1] * (1 if self.part.first else self.cut.ways)
        positions = self.cut.attended(length, tokens_BS.device)[None] if positions_BS is None else positions_BS
        spans = self.cut.spans(length) if self.cut.cp > 1 else None
        context = AttentionContext(
            rotary=rotary_tables(self.spec, positions, dtype),
            temperature=attention_temperature(self.spec, positions),
            reach=Reach.of(length, document_BS, tokens_BS.device, spans) if allowed_BST is None else None,
            allowed_BST=allowed_BST,
            positions_BS=positions_BS,
        )
        x_BSD = self._embedded(self.own(tokens_BS), dtype) if self.part.first else tokens_BS
        losses = []
        windows = [self.spec.window_of(number) for number in self.part.layers]
        contexts = {window: context.within(window, *tokens_BS.shape[:2]) for window in set(windows)}
        for i, (layer, window) in enumerate(zip(self.layers, windows, strict=True)):
            context = contexts[window]
            if self.recompute_layers and self.training:
                x_BSD, layer_losses = checkpoint(layer, x_BSD, context, use_reentrant=False)  # type: ignore[misc]
            else:
                x_BSD, layer_losses = layer(x_BSD, context, caches[i] if caches else None)
            if layer_losses is not None:
                losses.append(layer_losses)
        return self.norm(x_BSD) if self.part.last else x_BSD, _mean_losses(losses, self.spec.n_moe_layers)

    def _embedded(self, tokens_BS: Tensor, dtype: torch.dtype) -> Tensor:
        return F.embedding(tokens_BS, usable(self.embedding.weight)).to(dtype) * self.spec.embedding_multiplier

    def own(self, x_BS: Tensor) -> Tensor:
        """Of whole sequences the positions that are this process's."""
        return self.cut.own(x_BS) if self.cut.ways > 1 else x_BS

    def loss(self, hidden_BSD: Tensor, targets_BS: Tensor) -> Tensor:
        """Sum (nats) of -log p(target) over the targets that count; logits are never whole in memory.

        ``targets_BS`` are of whole sequences, the hidden states of the positions that are here.
        """
        return linear_cross_entropy(
            hidden_BSD.flatten(0, 1),
            self.output_weight,
            self.own(targets_BS).flatten(),
            self.spec.output_multiplier,
            self.spec.output_softcap,
            self.chunk_loss,
        )

    def logits(self, hidden_BSD: Tensor) -> Tensor:
        """Logits [B, S, V] in fp32 (or wider), whole: for generation and checks; training uses `loss`."""
        logits = F.linear(hidden_BSD, self.output_weight.to(hidden_BSD.dtype)) * self.spec.output_multiplier
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        cap = self.spec.output_softcap
        return logits if cap is None else cap * torch.tanh(logits / cap)


def _mean_losses(losses: list[LayerLosses], n_layers: int) -> RouterLosses | None:
    if not losses:
        return None
    balance, z, load, count, probs = (torch.stack(values) for values in zip(*losses, strict=True))
    return RouterLosses(balance.sum() / n_layers, z.sum() / n_layers, load, count, probs)
