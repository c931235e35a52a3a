"""Seconds of fused (flash) attention on one GPU, forward or backward.

One SM takes a tile of 128 queries of one head and walks over its keys and values:

    tile    = 4 * 128 * head_dim * keys / (efficiency * rate) + tile_seconds
    compute = waves * mean tile, waves as in `matmul.py` with its `tail`, but no less than the longest tile
    memory  = (q + o + k + v) bytes / HBM bandwidth; `exposed` times as long is not hidden under compute
    seconds = launch + max(compute + exposed * memory, memory)

`efficiency` is fitted for each head dimension measured and interpolated between: an exponential costs the same at any
head dimension, so small ones leave the tensor cores waiting (FlashAttention-3, arXiv 2407.08608, section 3.1). A causal
mask skips whole tiles only: those on the diagonal are computed in full.

Backward does 2.5 times the forward's FLOPs (five products for two; FlashAttention-2, arXiv 2307.08691, section 4.1) at
`backward_rate` times the forward's rate, a published figure named in each coefficient file.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from kolossos.plan.kernels.cards import card, coefficients, peak
from kolossos.plan.kernels.matmul import Floats, in_chunks
from kolossos.plan.kernels.measured import BACKWARD_FLOPS, measured_attention_seconds
from kolossos.specs.gpu import GpuSpec

TILE = 128
BYTES = {"bf16": 2.0, "fp8": 1.0}
EFFICIENCY = "efficiency_"


def attention_seconds(
    gpu: str | GpuSpec,
    batch: ArrayLike,
    q_len: ArrayLike,
    kv_len: ArrayLike,
    n_heads: ArrayLike,
    n_kv_heads: ArrayLike,
    head_dim: ArrayLike,
    *,
    causal: bool = True,
    precision: str = "bf16",
    backward: bool = False,
    clock_scale: float = 1.0,
) -> Floats:
    """Seconds of attention of `batch` sequences; sizes >= 1, broadcast together.

    q_len, kv_len: tokens; with `causal`, the queries are the last `q_len` of the `kv_len` positions, kv_len >= q_len.
    n_kv_heads: fewer than n_heads for grouped queries (less memory traffic). precision: "bf16" or "fp8".
    clock_scale: core clock under load over boost clock. Fitted where tiles fill the card, for 1,024 tokens
    and more and head_dim 64 to 256; no faster than peak FLOP/s or HBM bandwidth allow.
    """
    gpu = card(gpu) if isinstance(gpu, str) else gpu
    if gpu.measured is not None and precision in gpu.measured.attention and causal:
        sizes = (batch, q_len, kv_len, n_heads, n_kv_heads, head_dim)
        return measured_attention_seconds(gpu, precision, *sizes, backward=backward) / clock_scale
    fitted = coefficients(gpu, "attention", precision)
    forward = in_chunks(
        lambda *sizes: forward_seconds(gpu, fitted, precision, *sizes, causal=causal, clock_scale=clock_scale),
        *(batch, q_len, kv_len, n_heads, n_kv_heads, head_dim),
    )
    if not backward:
        return forward
    launch = fitted["launch_seconds"]
    return launch + (forward - launch) * (BACKWARD_FLOPS / fitted["backward_rate"])


def windowed_attention_seconds(
    gpu: GpuSpec,
    *sizes: Floats,
    precision: str = "bf16",
    backward: bool = False,
) -> Floats:
    """Seconds of causal attention whose tokens see ``window`` positions at most (0: all); float arrays of one length.

    sizes: batch, seq_len, window, chunked (1: windows are chunks), n_heads, n_kv_heads, head_dim.
    A tile of queries walks over the tiles of its window and one more, for windows end inside tiles; chunks are
    sequences of their own. Never slower than attention to all; where only that was measured, by the share that is seen.
    """
    options = {"precision": precision, "backward": backward}
    batch, seq_len, window, chunked, n_heads, n_kv_heads, head_dim = sizes
    seconds = attention_seconds(gpu, batch, seq_len, seq_len, n_heads, n_kv_heads, head_dim, causal=True, **options)
    rows = (window > 0) & (window < seq_len)
    if not rows.any():
        return seconds
    b, s, w, heads, kv_heads, d = (a[rows] for a in (batch, seq_len, window, n_heads, n_kv_heads, head_dim))
    apart = chunked[rows] > 0
    if gpu.measured is not None and precision in gpu.measured.attention:
        seen = np.where(apart, (w + 1) / 2, (w * (w + 1) / 2 + (s - w) * w) / s)
        shorter = seconds[rows] * seen / ((s + 1) / 2)
    else:
        sliding = attention_seconds(gpu, b, s, w + TILE, heads, kv_heads, d, causal=False, **options)
        chunks = attention_seconds(gpu, b * s / w, w, w, heads, kv_heads, d, causal=True, **options)
        shorter = np.where(apart, chunks, sliding)
    seconds[rows] = np.minimum(seconds[rows], shorter)
    return seconds


def forward_seconds(
    gpu: GpuSpec,
    c: Mapping[str, float],
    precision: str,
    *sizes: Floats,
    causal: bool = True,
    clock_scale: float = 1.0,
) -> Floats:
    """The model itself, for float arrays of one length; the fit calls it with coefficients of its own.

    sizes: batch, q_len, kv_len, n_heads, n_kv_heads, head_dim.
    """
    batch, q_len, kv_len, n_heads, n_kv_heads, head_dim = sizes
    rate = peak(gpu, precision) * clock_scale
    query_tiles, key_tiles = np.ceil(q_len / TILE), np.ceil(kv_len / TILE)
    mean_keys = TILE * (key_tiles - (query_tiles - 1) / 2 if causal else key_tiles)
    per_key = 4.0 * TILE * head_dim * gpu.n_sms / (rate * _efficiency(c, head_dim))
    per_tile = c["tile_seconds"] / clock_scale
    waves = batch * n_heads * query_tiles / gpu.n_sms
    counted = np.maximum(waves + c["tail"] * (np.ceil(waves) - waves), 1.0)
    longest = key_tiles * TILE * per_key + per_tile
    compute = np.maximum(counted * (mean_keys * per_key + per_tile), longest)
    moved = 2.0 * batch * head_dim * (q_len * n_heads + kv_len * n_kv_heads) * BYTES[precision]
    memory = moved / gpu.memory_bandwidth_bytes_per_s
    seconds = c["launch_seconds"] + np.maximum(compute + c["exposed"] * memory, memory)
    seen = kv_len - (q_len - 1) / 2 if causal else kv_len
    return np.maximum(seconds, 4.0 * batch * n_heads * q_len * seen * head_dim / rate)


def _efficiency(c: Mapping[str, float], head_dim: Floats) -> Floats:
    """Share of the peak inside a tile: the fitted `efficiency_<head_dim>`, between them linear in the logarithm."""
    fitted = sorted((int(name.removeprefix(EFFICIENCY)), c[name]) for name in c if name.startswith(EFFICIENCY))
    return np.interp(np.log(head_dim), np.log([d for d, _ in fitted]), [share for _, share in fitted])
