"""Kernel seconds from the fits in a hardware file that ``kolossos calibrate`` wrote: for any card, the CPU included."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import load_family

Floats = NDArray[np.float64]
BACKWARD_FLOPS = 2.5
"""FLOPs of attention's backward over forward's (FlashAttention-2, arXiv 2307.08691, section 4.1)."""


def product_terms(m: ArrayLike, n: ArrayLike, k: ArrayLike) -> Floats:
    """[..., 5]: 1, FLOPs, and the elements of A, B and C: what the coefficients of a ProductFit multiply."""
    m, n, k = (np.asarray(size, dtype=np.float64) for size in (m, n, k))
    return np.stack(np.broadcast_arrays(np.ones(()), 2.0 * m * n * k, m * k, k * n, m * n), axis=-1)


def attention_terms(
    batch: ArrayLike,
    q_len: ArrayLike,
    kv_len: ArrayLike,
    n_heads: ArrayLike,
    n_kv_heads: ArrayLike,
    head_dim: ArrayLike,
) -> Floats:
    """[..., 3]: 1, FLOPs of causal attention forward, and elements of q, k, v and the output."""
    arrays = (np.asarray(x, dtype=np.float64) for x in (batch, q_len, kv_len, n_heads, n_kv_heads, head_dim))
    b, q, kv, heads, kv_heads, d = arrays
    seen = kv - (q - 1.0) / 2.0
    flops = 4.0 * b * heads * q * seen * d
    elements = 2.0 * b * d * (q * heads + kv * kv_heads)
    return np.stack(np.broadcast_arrays(np.ones(()), flops, elements), axis=-1)


def measured_product_seconds(
    gpu: GpuSpec, precision: str, m: ArrayLike, n: ArrayLike, k: ArrayLike, batch: ArrayLike = 1
) -> Floats:
    """Seconds of ``batch`` products (m, k) @ (k, n); never faster than the best rate measured.

    A CPU starts each product of the batch, a card all in one launch. ``gpu`` must hold a fit for ``precision``.
    """
    assert gpu.measured is not None
    fit = gpu.measured.products[precision]
    batch = np.asarray(batch, dtype=np.float64)
    launches = batch if load_family(gpu.family).is_processor else np.ones(())
    terms = product_terms(m, n, k)
    work = np.array([1.0 / fit.rate_flops_per_s, fit.left_s, fit.right_s, fit.out_s])
    return launches * fit.launch_s + batch * np.maximum(terms[..., 1:] @ work, terms[..., 1] / gpu.peak(precision))


def measured_attention_seconds(
    gpu: GpuSpec,
    precision: str,
    *sizes: ArrayLike,
    backward: bool = False,
) -> Floats:
    """Seconds of causal attention of ``sizes`` (as ``attention_terms`` takes them), one pass. ``gpu`` must hold a fit
    for ``precision``."""
    assert gpu.measured is not None
    fit = gpu.measured.attention[precision]
    terms = attention_terms(*sizes)
    forward = np.array([fit.launch_s, 1.0 / fit.rate_flops_per_s, fit.element_s])
    back = np.array([fit.backward_launch_s, BACKWARD_FLOPS / fit.backward_rate_flops_per_s, fit.backward_element_s])
    return terms @ (back if backward else forward)
