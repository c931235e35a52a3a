"""A calibration made up from known coefficients, so that what a fit finds can be held against them."""

import numpy as np
import torch

from kolossos.calibrate.attention import SHAPES, Attention
from kolossos.calibrate.collectives import KINDS, Collectives, wire_bytes
from kolossos.calibrate.machine import Machine
from kolossos.calibrate.memory import Memory
from kolossos.calibrate.products import Products, ladder
from kolossos.calibrate.run import Calibration
from kolossos.plan.kernels.measured import BACKWARD_FLOPS, attention_terms, product_terms

PRODUCT = np.array([6e-6, 1 / 2e12, 3e-10, 2e-10, 1e-10])
ATTENTION = np.array([5e-5, 1 / 4e11, 4e-10])
ATTENTION_BACK = np.array([9e-5, BACKWARD_FLOPS / 3e11, 8e-10])
LATENCY_S, BANDWIDTH = 1.5e-4, 1.3e9


def products(precision: str, noise: float = 0.0) -> Products:
    """Seconds of the ladder from PRODUCT; ``noise``: standard deviation of the logarithm."""
    shapes = np.array(ladder(1e11, 8192))
    seconds = product_terms(*shapes.T) @ PRODUCT
    seconds = seconds * np.exp(noise * np.random.default_rng(1).standard_normal(len(seconds)))
    return Products(precision, shapes, seconds, [0.1] * len(seconds), {"forward": seconds}, 1.8e12)


def attention(precision: str) -> Attention:
    shapes = np.array(SHAPES)
    b, s, h, kv, d = shapes.T
    terms = attention_terms(b, s, s, h, kv, d)
    return Attention(precision, shapes, terms @ ATTENTION, terms @ ATTENTION_BACK, [0.1])


def collectives(ranks: int) -> Collectives:
    rows = [
        (kind, size, LATENCY_S + wire_bytes(kind, size, ranks) / BANDWIDTH, 0.1)
        for kind in KINDS
        for size in (1 << 10, 1 << 16, 1 << 20, 1 << 25)
    ]
    return Collectives("gloo", ranks, rows)


def calibration() -> Calibration:
    machine = Machine("Test Processor", "cpu", torch.device("cpu"), 1, 2, 16e9, 32e6, 2.1e9, None, None)
    return Calibration(
        machine=machine,
        threads=2,
        busy_cores=0.5,
        seconds=3.0,
        products={name: products(name) for name in ("fp32", "bf16")},
        memory=Memory(2e10, 2.5e10, 5e-6, {"copy": {64: 2e10}, "triad": {64: 2.5e10}}, [0.1]),
        attention={name: attention(name) for name in ("fp32", "bf16")},
        collectives=[collectives(2)],
        idle_watts=None,
        load_watts=None,
        notes=["power is absent: test"],
    )
