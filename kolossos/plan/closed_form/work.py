"""The description of the work: what one rank does in one layer for one micro-batch, and in the ends of the model.

Both evaluators stand on it. Matrix products carry their shapes, everything else its bytes; nothing here knows a
clock. T is the number of tokens that a tp group works on together, micro_batch_size x seq_len / cp.

Of a model with several kinds of layer these are asked for one kind at a time.

Sources: tensor and sequence parallelism, arXiv:1909.08053 and arXiv:2205.05198; latent attention, arXiv:2405.04434;
dropless experts, arXiv:2211.15841 (loads taken as balanced, as the published benchmarks force them to be).
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.columns import Column, LayoutColumns, ModelColumns

BF16_BYTES = 2.0


class Part(Enum):
    """The parts of a layer, and the head."""

    ATTENTION = "attention projections"
    DENSE = "dense MLP"
    EXPERTS = "experts"
    ROUTER = "router"
    HEAD = "output head"
    STATE = "projections of layers with a state"
    STATE_CORE = "the state"


@dataclass(frozen=True)
class Matmul:
    """``count`` times a product (m, k) x (k, n) for each of ``groups`` experts; ``count`` = 0 where it is absent."""

    name: str
    part: Part
    m: Column
    n: Column
    k: Column
    count: Column
    groups: Column
    low_precision: bool

    @property
    def flops(self) -> Column:
        """FLOPs of the forward product."""
        return 2.0 * self.count * self.groups * self.m * self.n * self.k


def tokens(layout: LayoutColumns) -> Column:
    """T: tokens of one micro-batch that a tp group shares."""
    return layout.micro_batch_size * layout.seq_len / layout.cp


def has_experts(model: ModelColumns) -> Column:
    """1 where the model has layers with experts."""
    return _flag(model.n_moe_layers > 0)


def _flag(condition: NDArray[np.bool_]) -> Column:
    return np.asarray(condition, dtype=np.float64)


def matmuls(model: ModelColumns, layout: LayoutColumns) -> list[Matmul]:
    """The products of one layer of each kind (attention, dense MLP, experts) and of the head, forward."""
    t = tokens(layout)
    of_state = _state(model, layout, t) if np.any(model.state_heads) else []
    return [*_attention(model, layout, t), *_dense(model, layout, t), *_experts(model, layout, t), *of_state]


def _one(name: str, part: Part, shape: tuple[Column, Column, Column], count: Column, low: bool = True) -> Matmul:
    m, n, k = (np.maximum(size, 1.0) for size in shape)
    return Matmul(name, part, m, n, k, np.asarray(count * 1.0), np.ones(()), low)


def _attention(model: ModelColumns, layout: LayoutColumns, t: Column) -> list[Matmul]:
    plain, direct = model.attention - model.mla, model.mla * (model.q_rank == 0)
    tp, d = layout.tp, model.dim
    heads, v_width = model.n_heads / tp, model.n_heads * model.v_head_dim / tp
    kv_heads = np.maximum(model.n_kv_heads / tp, 1.0)
    nope = model.head_dim - model.rope_dim
    at = Part.ATTENTION
    extra = [_one("gates", at, (t, model.attention_extra / tp, d), _flag(model.attention_extra > 0))]
    own = [_one("layer_inputs", at, (t, 3 * model.layer_in / tp, d), _flag(model.layer_in > 0))]
    wider = kv_heads * more_values(model)
    return [
        *(extra if np.any(model.attention_extra) else []),
        *(own if np.any(model.layer_in) else []),
        _one("qkv", at, (t, (heads + 2 * kv_heads) * model.head_dim + wider, d), plain),
        _one("q", at, (t, heads * model.head_dim, d), direct),
        _one("q_down", at, (t / tp, model.q_rank, d), model.mla * (model.q_rank > 0)),
        _one("q_up", at, (t, heads * model.head_dim, model.q_rank), model.mla * (model.q_rank > 0)),
        _one("kv_down", at, (t / tp, model.kv_rank + model.rope_dim, d), model.mla),
        _one("kv_up", at, (t, heads * (nope + model.v_head_dim), model.kv_rank), model.mla),
        _one("attention_out", at, (t, d, v_width), model.attention),
    ]


def more_values(model: ModelColumns) -> Column:
    """By how much a head of values (nothing, where keys are values) is wider than one of keys."""
    return np.where(model.mla > 0, 0.0, (1.0 - model.no_values) * model.v_head_dim - model.head_dim)


def _state(model: ModelColumns, layout: LayoutColumns, t: Column) -> list[Matmul]:
    """Projections of layers with a state, and the state in chunks: inside a chunk as attention without a softmax,
    between chunks one state each (arXiv:2405.21060, section 6; the delta rule: arXiv:2406.06484, section 3).

    A state that is scanned element by element runs on the vector units, at about a sixteenth of the products' rate and
    with some eight operations an element: priced as a product 64 times as deep as the state.
    """
    tp, d, present = layout.tp, model.dim, _flag(model.state_heads > 0)
    heads, values = model.state_heads / tp, model.state_heads * model.state_value / tp
    inner = model.state_inner / np.maximum(model.state_heads * model.state_value, 1.0)
    chunked = present * (1.0 - model.state_scan) * (model.state_key > 0)
    delta, scan = chunked * model.state_delta, present * model.state_scan
    c, k, v = (np.maximum(size, 1.0) for size in (model.state_chunk, model.state_key, model.state_value))
    c = np.minimum(c, layout.seq_len / layout.cp)
    of_heads = np.maximum(t / c * heads, 1.0)
    of_keys = np.maximum(t / c * np.maximum(model.state_key_heads / tp, 1.0), 1.0)
    at, core = Part.STATE, Part.STATE_CORE

    def chunks(name: str, shape: tuple[Column, Column, Column], count: Column, groups: Column) -> Matmul:
        m, n, depth = (np.asarray(size * 1.0) for size in shape)
        return Matmul(name, core, m, n, depth, np.asarray(count * 1.0), groups, False)

    return [
        _one("state_in", at, (t, model.state_in / tp, d), present),
        _one("state_inner", at, (t, inner, values), present * (model.state_inner > 0)),
        _one("state_out", at, (t, d, values), present),
        chunks("scores", (c, c, k), chunked, of_keys),
        chunks("apply", (c, v, c), chunked, of_heads),
        chunks("update", (k, v, c), chunked, of_heads),
        chunks("read", (c, v, k), chunked, of_heads),
        chunks("solve", (c, c, c), delta, of_heads),
        chunks("correct_keys", (c, k, c), delta, of_heads),
        chunks("correct_values", (c, v, k), 2.0 * delta, of_heads),
        _one("scan", core, (t, values, 64.0 * model.state_key), scan, low=False),
    ]


def _dense(model: ModelColumns, layout: LayoutColumns, t: Column) -> list[Matmul]:
    present = _flag(model.ffn_dim > 0)
    width, head = model.ffn_dim / layout.tp, Part.HEAD
    return [
        _one("mlp_up", Part.DENSE, (t, model.up_matrices * width, model.dim), present),
        _one("mlp_down", Part.DENSE, (t, model.dim, width), present),
        _one("logits", head, (t, model.vocab / layout.tp, model.dim), np.ones(()), low=False),
    ]


def _experts(model: ModelColumns, layout: LayoutColumns, t: Column) -> list[Matmul]:
    present = has_experts(model)
    shared = present * (model.shared_dim > 0)
    groups = np.maximum(model.n_experts / layout.ep, 1.0)
    rows = expert_tokens(model, layout) / groups
    width, up, d = model.expert_dim / layout.etp, model.up_matrices, model.dim
    shared_width = model.shared_dim / layout.tp
    reads = model.expert_in
    sizes_up, sizes_down = (np.maximum(up * width, 1.0), reads), (reads, np.maximum(width, 1.0))
    rows = np.maximum(rows, 1.0)
    latent = present * (model.latent > 0)
    both = [
        _one("latent_down", Part.EXPERTS, (t / layout.tp, model.latent, d), latent),
        _one("latent_up", Part.EXPERTS, (t / layout.tp, d, model.latent), latent),
    ]
    return [
        *(both if np.any(model.latent) else []),
        _one("router", Part.ROUTER, (t / layout.tp, model.n_experts, d), present, low=False),
        _one("shared_up", Part.EXPERTS, (t, up * shared_width, d), shared),
        _one("shared_down", Part.EXPERTS, (t, d, shared_width), shared),
        Matmul("expert_up", Part.EXPERTS, rows, *sizes_up, present, groups, True),
        Matmul("expert_down", Part.EXPERTS, rows, *sizes_down, present, groups, True),
    ]


def expert_tokens(model: ModelColumns, layout: LayoutColumns) -> Column:
    """Token copies that arrive at the experts of one rank: T / tp x top_k from each of its etp peers."""
    return tokens(layout) / layout.tp * model.top_k * layout.etp


@dataclass(frozen=True)
class LayerBytes:
    """Bytes that the work between the products moves through memory in one forward pass, per micro-batch."""

    attention: Column
    dense: Column
    experts: Column
    head: Column
    state: Column
    scores: Column
    """Of attention that writes its score matrix (before FlashAttention): one score matrix in 16 bits."""


def elementwise_bytes(model: ModelColumns, layout: LayoutColumns, sequence_parallel: Column) -> LayerBytes:
    """Norms, residuals, rotary embeddings, activations, permutations and the loss, each tensor read or written once.

    ``sequence_parallel`` = 1 spreads norms and residuals over tp (arXiv:2205.05198, section 4.2.2).
    """
    t, b = tokens(layout), BF16_BYTES
    spread = t / np.where(sequence_parallel > 0, layout.tp, 1.0)
    stream = spread * model.dim * b
    block = stream * (model.norms / 2 * 2 + 3 * model.streams)
    heads = (model.n_heads + 2 * np.maximum(model.n_kv_heads, layout.tp)) / layout.tp
    rotary = 2 * t * heads * model.head_dim * b
    activation = (model.up_matrices + 1) * b
    routed = expert_tokens(model, layout)
    permute = 2 * 2 * routed * model.expert_in * b
    shared = t * model.shared_dim / layout.tp * activation
    experts = block + permute + routed * model.expert_dim / layout.etp * activation + shared
    scores = layout.micro_batch_size * model.n_heads / layout.tp * layout.seq_len * layout.seq_len / layout.cp * b
    states = model.state_heads * model.state_key * model.state_value / np.maximum(model.state_chunk, 1.0)
    convolved = 2 * model.state_conv + 4 * model.state_heads * model.state_value
    return LayerBytes(
        state=(block + t / layout.tp * (convolved * b + 2 * 4.0 * states * (1.0 - model.state_scan)))
        * (model.state_heads > 0),
        attention=block + rotary,
        dense=block + t * model.ffn_dim / layout.tp * activation,
        experts=experts * has_experts(model),
        head=stream * 4 + t * model.vocab / layout.tp * 2 * 4.0,
        scores=scores,
    )
