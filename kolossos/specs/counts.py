"""Counting a ModelSpec: parameters and training FLOPs. Closed forms; tests hold them against PyTorch models.

Layers that predict further tokens are counted beside the model (``ParameterCount.mtp``), as DeepSeek-V3 publishes
them; so are encoders, of which a ModelSpec knows nothing but the size.
"""

from dataclasses import dataclass, fields

from kolossos.specs.layers import Layer
from kolossos.specs.model import USUAL, ModelSpec

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
    recurrent: int = 0
    """Matrices of layers with a state; its decays, convolutions and norms count as biases."""
    layer_inputs: int = 0
    """Matrices of embeddings that layers have of their own."""
    layer_tables: int = 0
    """These embeddings."""

    @property
    def total(self) -> int:
        matrices = self.attention + self.dense_mlp + self.shared_experts + self.experts + self.router + self.recurrent
        return matrices + self.norms + self.biases + self.layer_inputs + self.layer_tables

    @property
    def active(self) -> int:
        """Parameters that one token passes through."""
        return self.total - self.experts + self.active_experts - self.biases + self.active_biases

    @property
    def matmul_active(self) -> int:
        """Weights that one token is multiplied with."""
        mixing = self.attention + self.recurrent + self.layer_inputs
        return mixing + self.dense_mlp + self.shared_experts + self.active_experts + self.router


@dataclass(frozen=True)
class LayerKind:
    """``n_layers`` equal layers, and the parameters of each."""

    n_layers: int
    each: LayerParameters


@dataclass(frozen=True)
class ParameterCount(LayerParameters):
    """Number of scalar parameters of a whole model, by part; ``norms`` holds the final one too.

    ``active`` has the whole embedding in it, though a token looks up one row; learned positions are part of it.
    """

    embedding: int = 0
    output: int = 0
    positions: int = 0
    mtp: int = 0
    """Layers that predict further tokens, which ``total`` leaves out."""

    @property
    def total(self) -> int:
        return super().total + self.embedding + self.output + self.positions

    @property
    def matmul_active(self) -> int:
        """Weights that one token is multiplied with: active ones without the embedding look-up and the norms."""
        return super().matmul_active + (self.output or self.embedding)


def count_parameters(spec: ModelSpec) -> ParameterCount:
    """Parameters of every part of ``spec``, over all layers."""
    kinds = [(number, _layer_parameters(spec, layer)) for layer, number in spec.layers().items()]
    layers = {f.name: sum(n * getattr(each, f.name) for n, each in kinds) for f in fields(LayerParameters)}
    table = spec.vocab_size * spec.dim
    layers["norms"] += _norm_width(spec) * (spec.final_norm + spec.embedding_norm) + (spec.layer_input_dim or 0)
    layers["biases"] += spec.vocab_size * spec.output_bias
    layers["active_biases"] += spec.vocab_size * spec.output_bias
    return ParameterCount(
        **layers,
        embedding=table,
        output=0 if spec.tied_embeddings else table,
        positions=(spec.learned_positions or 0) * spec.dim,
        mtp=_mtp_parameters(spec),
    )


def count_parameters_by_layer_kind(spec: ModelSpec) -> dict[str, LayerKind]:
    """The kinds of layer that ``spec`` has, each with its number and the parameters of one.

    They are "dense" and "moe", with the name of their kind before it where the spec names kinds; of layers that differ
    in their window alone there is one.
    """
    kinds: dict[str, LayerKind] = {}
    for layer, number in spec.layers().items():
        each = _layer_parameters(spec, layer)
        mlp = "moe" if layer.experts else "dense" if layer.ffn_dim else ""
        name = mlp if layer.kind == USUAL else f"{layer.kind} {mlp}".strip()
        name = name or "usual"
        same = kinds.get(name)
        while same is not None and same.each != each:
            name += "'"
            same = kinds.get(name)
        kinds[name] = LayerKind(number + (same.n_layers if same else 0), each)
    return {name: kinds[name] for name in sorted(kinds, key=lambda name: (name != "dense", name == "moe"))}


def _layer_parameters(spec: ModelSpec, layer: Layer) -> LayerParameters:
    """Of one layer."""
    mlp = (3 if spec.gated_mlp else 2) * spec.dim  # times the hidden width
    moe = spec.moe if layer.experts else None
    recurrent = layer.recurrent
    biases = _attention_biases(spec, layer) + (recurrent.vectors if recurrent else 0)
    biases += _mlp_biases(spec, layer.ffn_dim) if layer.ffn_dim else 0
    attention, norms = _attention_parameters(spec, layer), _norm_parameters(spec, layer)
    state = spec.dim * (recurrent.in_width + recurrent.values) + recurrent.inner_weights if recurrent else 0
    own = spec.layer_input_dim or 0
    inputs = {"layer_inputs": 3 * spec.dim * own, "layer_tables": own * (spec.layer_input_vocab or spec.vocab_size)}
    norms += (spec.dim if own else 0) + _mixing_of_streams(spec, layer)
    if moe is None:
        return LayerParameters(
            attention=attention,
            dense_mlp=mlp * layer.ffn_dim,
            norms=norms,
            biases=biases,
            active_biases=biases,
            recurrent=state,
            **inputs,
        )
    biases += moe.n_experts if moe.bias else 0  # the router's
    biases += moe.n_experts + moe.n_idle if moe.choice_bias else 0
    of_one = (2 if spec.gated_mlp else 1) * moe.expert_dim + spec.dim if moe.bias else 0
    expert = (3 if spec.gated_mlp else 2) * (moe.latent_dim or spec.dim) * moe.expert_dim
    shared = mlp * (moe.shared_dim or 0) + (spec.dim if moe.shared_gate and moe.shared_dim else 0)
    return LayerParameters(
        attention=attention,
        dense_mlp=mlp * layer.ffn_dim,
        shared_experts=shared + 2 * spec.dim * (moe.latent_dim or 0),
        experts=expert * moe.n_experts,
        active_experts=expert * moe.top_k,
        router=spec.dim * (moe.n_experts + moe.n_idle),
        norms=norms,
        biases=biases + of_one * moe.n_experts,
        active_biases=biases + of_one * moe.top_k,
        recurrent=state,
        **inputs,
    )


def _mixing_of_streams(spec: ModelSpec, layer: Layer) -> int:
    """What reads n streams of the residual to weigh them for each block (manifold-constrained hyper-connections,
    arXiv:2512.24880): n in, n out, and n x n from stream to stream."""
    n = spec.residual_streams
    return layer.sublayers * (n * spec.dim + 1) * n * (n + 2) if n > 1 else 0


def _mtp_parameters(spec: ModelSpec) -> int:
    """Each a layer like the last, two norms and a matrix that joins state and embedding (arXiv:2412.19437, 2.2)."""
    if not spec.mtp_layers:
        return 0
    last = spec.layer(spec.n_layers - 1)
    layers = [last]
    if not last.mixes:  # layers that are one thing each: one that attends goes before it
        layers += [layer for layer in spec.layers() if layer.n_heads][:1]
    each = sum(_layer_parameters(spec, layer).total for layer in layers)
    return spec.mtp_layers * (each + 2 * spec.dim * spec.dim + 3 * _norm_width(spec))


def attention_flops_per_token(spec: ModelSpec, seq_len: int, *, causal: bool = True) -> float:
    """Forward FLOPs of q.k and of probabilities x v for one token, over all layers, and of the states of others.

    Causal: a token sees (seq_len + 1) / 2 positions on average, and only those are counted; otherwise all seq_len.
    Latent attention is counted as it is trained, with keys and values expanded to every head (arXiv:2405.04434,
    section 2.1.2). Causal, a layer with a window (or a chunk) counts the positions within it.
    """
    total = 0.0
    for layer, number in spec.layers().items():
        per_position = 2.0 * layer.n_heads * (layer.head_dim + layer.v_head_dim)
        if not causal:
            seen = float(seq_len)
        elif layer.window:
            seen = positions_seen(layer.window, seq_len, chunked=spec.attn_chunked)
        else:
            seen = (seq_len + 1) / 2
        total += number * (per_position * seen + (layer.recurrent.state_flops if layer.recurrent else 0.0))
    return total


def training_flops_per_token(spec: ModelSpec, seq_len: int) -> float:
    """Model FLOPs of forward and backward for one token, without recompute.

    6 x the matmul weights (Kaplan et al., arXiv:2001.08361, section 2.1), the output matrix among them, plus causal
    attention (`attention_flops_per_token`) once forward and twice backward.
    """
    return 6.0 * count_parameters(spec).matmul_active + 3 * attention_flops_per_token(spec, seq_len)


def positions_seen(window: int, seq_len: int, *, chunked: bool = False) -> float:
    """Positions a token sees on average, of ``window`` at most (0: of all); chunked: of its own chunk."""
    reach = min(window or seq_len, seq_len)
    if chunked:
        return (reach + 1) / 2
    return (reach * (reach + 1) / 2 + (seq_len - reach) * reach) / seq_len


def _attention_parameters(spec: ModelSpec, layer: Layer) -> int:
    d, heads, mla = spec.dim, layer.n_heads, layer.mla
    if not heads:
        return 0
    gate = d * heads * {None: 0, "element": layer.v_head_dim, "head": 1}[spec.attn_gate]
    if mla is None:
        keys = layer.n_kv_heads * layer.head_dim
        values = 0 if layer.values_are_keys else layer.n_kv_heads * layer.v_head_dim
        own = 0 if layer.shares_kv else d * (keys + values)
        return d * heads * layer.head_dim + own + heads * layer.v_head_dim * d + gate + _indexer_parameters(spec, layer)
    # DeepSeek-V2 (arXiv:2405.04434), equations 9-16 and 37-47
    queries = mla.q_lora_rank * (d + heads * layer.head_dim) if mla.q_lora_rank else d * heads * layer.head_dim
    latents = d * (mla.kv_lora_rank + mla.qk_rope_head_dim)
    keys_and_values = mla.kv_lora_rank * heads * (mla.qk_nope_head_dim + mla.v_head_dim)
    latent = queries + latents + keys_and_values + heads * mla.v_head_dim * d
    return latent + gate + _indexer_parameters(spec, layer)


def _indexer_parameters(spec: ModelSpec, layer: Layer) -> int:
    """Queries from the latent (or the residual), one key, a weight for each head (DeepSeek-V3.2)."""
    if spec.indexer is None or not layer.indexer:
        return 0
    rank = (layer.mla.q_lora_rank if layer.mla else None) or spec.dim
    return rank * spec.indexer.n_heads * spec.indexer.head_dim + spec.dim * (
        spec.indexer.head_dim + spec.indexer.n_heads
    )


def _attention_biases(spec: ModelSpec, layer: Layer) -> int:
    """Biases and sinks of one layer's attention."""
    if not layer.n_heads:
        return 0
    widths = layer.n_heads * layer.head_dim + layer.n_kv_heads * (layer.head_dim + layer.v_head_dim)
    of_index = 2 * spec.indexer.head_dim if spec.indexer and layer.indexer else 0  # the norm of its key
    biases = (widths if spec.qkv_bias else 0) + (spec.dim if spec.attn_output_bias else 0)
    return biases + (layer.n_heads if spec.attn_sinks else 0) + of_index


def _mlp_biases(spec: ModelSpec, ffn_dim: int) -> int:
    return (2 if spec.gated_mlp else 1) * ffn_dim + spec.dim if spec.mlp_bias else 0


def _norm_width(spec: ModelSpec) -> int:
    """Parameters of a norm of the residual stream."""
    return spec.dim * {"scale": 1, "scale and bias": 2, "plain": 0}[spec.norm_kind]


def _norm_parameters(spec: ModelSpec, layer: Layer) -> int:
    blocks = 1 if spec.shared_norm else layer.sublayers
    stream = _norm_width(spec) * blocks * (spec.pre_norm + spec.post_norm)
    if not layer.n_heads:
        return stream
    latents = (layer.mla.q_lora_rank or 0) + layer.mla.kv_lora_rank if layer.mla else 0
    own_keys = 0 if layer.shares_kv else 1
    heads = {None: 0, "head": 1 + own_keys, "whole": layer.n_heads + own_keys * layer.n_kv_heads}[spec.qk_norm]
    return stream + latents + heads * layer.head_dim
