"""Counting a ModelSpec: parameters and training FLOPs. Closed forms; tests hold them against PyTorch models.

Not counted, because a ModelSpec does not carry them: biases of plain MLPs and of norms, learned positions, gates of
shared experts and multi-token-prediction layers. Together they are below 0.1 % of any large model but for the last,
which DeepSeek-V3 publishes apart.
"""

from dataclasses import dataclass, fields

from kolossos.specs.model import ModelSpec

CHECKPOINT_BYTES_PER_PARAMETER = 14.0
"""bf16 weights, fp32 master weights and two fp32 moments."""


@dataclass(frozen=True)
class LayerParameters:
    """Number of scalar parameters of one layer (or, added up, of several), by part; sinks count as biases."""

    attention: int = 0
    dense_mlp: int = 0
    shared_experts: int = 0
    experts: int = 0
    active_experts: int = 0
    router: int = 0
    norms: int = 0
    biases: int = 0
    active_biases: int = 0

    @property
    def total(self) -> int:
        matrices = self.attention + self.dense_mlp + self.shared_experts + self.experts + self.router
        return matrices + self.norms + self.biases

    @property
    def active(self) -> int:
        """Parameters that one token passes through."""
        return self.total - self.experts + self.active_experts - self.biases + self.active_biases

    @property
    def matmul_active(self) -> int:
        """Weights that one token is multiplied with."""
        return self.attention + self.dense_mlp + self.shared_experts + self.active_experts + self.router


@dataclass(frozen=True)
class LayerKind:
    """``n_layers`` equal layers, and the parameters of each."""

    n_layers: int
    each: LayerParameters


@dataclass(frozen=True)
class ParameterCount(LayerParameters):
    """Number of scalar parameters of a whole model, by part; ``norms`` holds the final one too.

    ``active`` has the whole embedding in it, though a token looks up one row.
    """

    embedding: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        return super().total + self.embedding + self.output

    @property
    def matmul_active(self) -> int:
        """Weights that one token is multiplied with: active ones without the embedding look-up and the norms."""
        return super().matmul_active + (self.output or self.embedding)


def count_parameters(spec: ModelSpec) -> ParameterCount:
    """Parameters of every part of ``spec``, over all layers."""
    kinds = count_parameters_by_layer_kind(spec).values()
    layers = {f.name: sum(k.n_layers * getattr(k.each, f.name) for k in kinds) for f in fields(LayerParameters)}
    table = spec.vocab_size * spec.dim
    layers["norms"] += spec.dim
    return ParameterCount(**layers, embedding=table, output=0 if spec.tied_embeddings else table)


def count_parameters_by_layer_kind(spec: ModelSpec) -> dict[str, LayerKind]:
    """The kinds of layer that ``spec`` has, "dense" and "moe", each with its number and the parameters of one."""
    mlp = (3 if spec.gated_mlp else 2) * spec.dim  # times the hidden width
    attention, norms, biases = _attention_parameters(spec), _norm_parameters(spec), _attention_biases(spec)
    kinds: dict[str, LayerKind] = {}
    if spec.n_dense_layers:
        ffn_dim = spec.ffn_dim or 0
        biases_of_all = biases + _mlp_biases(spec)
        dense = LayerParameters(
            attention=attention,
            dense_mlp=mlp * ffn_dim,
            norms=norms,
            biases=biases_of_all,
            active_biases=biases_of_all,
        )
        kinds["dense"] = LayerKind(spec.n_dense_layers, dense)
    if spec.moe and spec.n_moe_layers:
        if spec.dense_beside_experts:
            biases += _mlp_biases(spec)
        biases += spec.moe.n_experts if spec.moe.bias else 0  # the router's
        of_one = (2 if spec.gated_mlp else 1) * spec.moe.expert_dim + spec.dim if spec.moe.bias else 0
        moe = LayerParameters(
            attention=attention,
            dense_mlp=mlp * (spec.ffn_dim or 0) if spec.dense_beside_experts else 0,
            shared_experts=mlp * (spec.moe.shared_dim or 0),
            experts=mlp * spec.moe.expert_dim * spec.moe.n_experts,
            active_experts=mlp * spec.moe.expert_dim * spec.moe.top_k,
            router=spec.dim * spec.moe.n_experts,
            norms=norms,
            biases=biases + of_one * spec.moe.n_experts,
            active_biases=biases + of_one * spec.moe.top_k,
        )
        kinds["moe"] = LayerKind(spec.n_moe_layers, moe)
    return kinds


def attention_flops_per_token(spec: ModelSpec, seq_len: int, *, causal: bool = True) -> float:
    """Forward FLOPs of q.k and of probabilities x v for one token, over all layers.

    Causal: a token sees (seq_len + 1) / 2 positions on average, and only those are counted; otherwise all seq_len.
    Latent attention is counted as it is trained, with keys and values expanded to every head (arXiv:2405.04434,
    section 2.1.2). Causal, a layer with a window counts the positions within it.
    """
    v_head_dim = spec.mla.v_head_dim if spec.mla else spec.head_dim
    per_position = 2.0 * spec.n_heads * (spec.head_dim + v_head_dim)
    if not causal or not spec.attn_windows:
        return spec.n_layers * per_position * ((seq_len + 1) / 2 if causal else seq_len)
    return per_position * sum(_seen(spec.window_of(layer), seq_len) for layer in range(spec.n_layers))


def training_flops_per_token(spec: ModelSpec, seq_len: int) -> float:
    """Model FLOPs of forward and backward for one token, without recompute.

    6 x the matmul weights (Kaplan et al., arXiv:2001.08361, section 2.1), the output matrix among them, plus causal
    attention (`attention_flops_per_token`) once forward and twice backward.
    """
    return 6.0 * count_parameters(spec).matmul_active + 3 * attention_flops_per_token(spec, seq_len)


def _seen(window: int, seq_len: int) -> float:
    """Positions a token sees on average, of ``window`` at most (0: of all)."""
    reach = min(window or seq_len, seq_len)
    return (reach * (reach + 1) / 2 + (seq_len - reach) * reach) / seq_len


def _attention_parameters(spec: ModelSpec) -> int:
    d, heads, mla = spec.dim, spec.n_heads, spec.mla
    if mla is None:
        return d * spec.head_dim * (2 * heads + 2 * spec.n_kv_heads)
    # DeepSeek-V2 (arXiv:2405.04434), equations 9-16 and 37-47
    queries = mla.q_lora_rank * (d + heads * spec.head_dim) if mla.q_lora_rank else d * heads * spec.head_dim
    latents = d * (mla.kv_lora_rank + mla.qk_rope_head_dim)
    keys_and_values = mla.kv_lora_rank * heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    return queries + latents + keys_and_values + heads * mla.v_head_dim * d


def _attention_biases(spec: ModelSpec) -> int:
    """Biases and sinks of one layer's attention."""
    of_qkv = spec.head_dim * (spec.n_heads + 2 * spec.n_kv_heads) if spec.qkv_bias else 0
    return of_qkv + (spec.dim if spec.attn_output_bias else 0) + (spec.n_heads if spec.attn_sinks else 0)


def _mlp_biases(spec: ModelSpec) -> int:
    return (2 if spec.gated_mlp else 1) * (spec.ffn_dim or 0) + spec.dim if spec.mlp_bias else 0


def _norm_parameters(spec: ModelSpec) -> int:
    latents = (spec.mla.q_lora_rank or 0) + spec.mla.kv_lora_rank if spec.mla else 0
    heads = {None: 0, "head": 2, "whole": spec.n_heads + spec.n_kv_heads}[spec.qk_norm]
    return spec.dim * 2 * (spec.pre_norm + spec.post_norm) + latents + heads * spec.head_dim
