"""Causal attention, forward and backward, as torch's scaled_dot_product_attention does it, over lengths and heads."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention

from kolossos.calibrate.clock import Case, Clock, Tick, time_in_rounds
from kolossos.calibrate.fit import Floats, fit_attention
from kolossos.calibrate.products import DTYPES
from kolossos.plan.kernels.measured import attention_terms
from kolossos.specs.gpu import AttentionFit

# Batch, length, query heads, key-value heads, head_dim.
SHAPES = (
    (1, 256, 4, 4, 64), (1, 512, 4, 4, 64), (1, 1024, 4, 4, 64), (1, 2048, 4, 4, 64), (4, 256, 4, 4, 64),
    (4, 512, 8, 8, 64), (1, 512, 8, 8, 128), (1, 1024, 8, 8, 128), (8, 128, 4, 4, 64), (2, 1024, 4, 4, 128),
    (1, 4096, 8, 8, 128), (4, 4096, 16, 16, 128), (2, 8192, 16, 16, 128), (8, 2048, 32, 32, 64),
)  # fmt: skip
ROUNDS_AIMED = 6
Shape = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Attention:
    """Timings of one precision over ``shapes`` [cases, 5]."""

    precision: str
    shapes: np.ndarray
    forward: Floats
    backward: Floats
    spreads: list[float]

    def fit(self) -> AttentionFit:
        """Coefficients of both passes."""
        return fit_attention(_terms(self.shapes), self.forward, self.backward)


def _terms(shapes: np.ndarray) -> Floats:
    b, s, h, kv, d = shapes.T
    return attention_terms(b, s, s, h, kv, d)


def measure_attention(clock: Clock, precision: str, rate: float, seconds: float, tick: Tick) -> Attention:
    """Time for about ``seconds`` the shapes that fit in; ``rate``: FLOP/s of products, to guess what does."""
    deadline = time.perf_counter() + seconds
    flops = _terms(np.array(SHAPES))[:, 1]
    most = rate * 0.3 * seconds / (3.5 * ROUNDS_AIMED * 3)
    chosen = [shape for shape, work in zip(SHAPES, flops, strict=True) if work <= most] or [SHAPES[0]]
    forward, backward = [], []
    for shape in chosen:
        ahead, back = _cases(shape, precision, clock.device)
        forward.append(ahead)
        backward.append(back)
    time_in_rounds(clock, [*forward, *backward], deadline, tick)
    return Attention(
        precision=precision,
        shapes=np.array(chosen),
        forward=np.array([case.best for case in forward]),
        backward=np.array([case.best for case in backward]),
        spreads=[case.spread for case in [*forward, *backward]],
    )


def _cases(shape: Shape, precision: str, device: torch.device) -> tuple[Case, Case]:
    batch, length, heads, kv_heads, head_dim = shape
    q, k, v = (
        torch.randn(batch, n, length, head_dim, device=device).to(DTYPES[precision]).requires_grad_()
        for n in (heads, kv_heads, kv_heads)
    )
    out = scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=kv_heads < heads)
    gradient = torch.randn_like(out)

    def ahead() -> object:
        with torch.no_grad():
            return scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=kv_heads < heads)

    def back() -> object:
        return torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True)

    return Case(shape, ahead), Case(shape, back)
