"""Counting a ModelSpec: parameters and training FLOPs. Closed forms; a test holds them against the PyTorch model."""

from dataclasses import dataclass

from kolossos.specs.model import ModelSpec


@dataclass(frozen=True)
class ParameterCount:
    """Number of scalar parameters, by part."""

    embedding: int
    output: int
    attention: int
    dense_mlp: int
    experts: int
    active_experts: int
    router: int
    norms: int

    @property
    def total(self) -> int:
        return self.embedding + self.output + self.attention + self.dense_mlp + self.experts + self.router + self.norms

    @property
    def active(self) -> int:
        """Parameters that one token passes through."""
        return self.total - self.experts + self.active_experts

    @property
    def matmul_active(self) -> int:
        """Weights that one token is multiplied with: active ones without the embedding look-up and the norms."""
        return self.attention + self.dense_mlp + self.active_experts + self.router + (self.output or self.embedding)


def count_parameters(spec: ModelSpec) -> ParameterCount:
    """Parameters of every part of ``spec``, over all layers."""
    d, layers = spec.dim, spec.n_layers
    attention = d * spec.head_dim * (2 * spec.n_heads + 2 * spec.n_kv_heads)
    expert = 3 * d * spec.moe.expert_dim if spec.moe else 0
    n_experts, top_k = (spec.moe.n_experts, spec.moe.top_k) if spec.moe else (0, 0)
    return ParameterCount(
        embedding=spec.vocab_size * d,
        output=0 if spec.tied_embeddings else spec.vocab_size * d,
        attention=layers * attention,
        dense_mlp=layers * 3 * d * (spec.ffn_dim or 0),
        experts=layers * n_experts * expert,
        active_experts=layers * top_k * expert,
        router=layers * d * n_experts,
        norms=layers * d * (4 if spec.post_norm else 2) + d,
    )


def training_flops_per_token(spec: ModelSpec, seq_len: int) -> float:
    """Model FLOPs of forward and backward for one token, without recompute.

    6 x the matmul weights (Kaplan et al., arXiv:2001.08361, section 2.1) plus causal attention: two products of
    2 x n_heads x head_dim x (seq_len + 1) / 2 FLOPs forward, twice that backward.
    """
    attention = 3 * 2 * 2 * spec.n_heads * spec.head_dim * (seq_len + 1) / 2
    return 6.0 * count_parameters(spec).matmul_active + spec.n_layers * attention
