"""Matrix products over a ladder of shapes: squares, and shapes spread evenly over the logarithms of their sides.

A shape is timed in the three orders of operands that training has (forward x W^T, input gradient g W, weight gradient
g^T x), and counts with their mean: a plan asks for a product without saying its order.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kolossos.calibrate.clock import Case, Clock, Tick, time_in_rounds
from kolossos.calibrate.fit import Floats, fit_products
from kolossos.plan.kernels.measured import product_terms
from kolossos.specs.gpu import ProductFit

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
ORDERS = ("forward", "input gradient", "weight gradient")
SPREAD_SHAPES = 32
ROUNDS_AIMED = 8
PROBES = 10
SMALLEST_SIDE, STEP = 32, 32
MIN_FLOPS = 1e5
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Products:
    """Timings of one precision: ``shapes`` [cases, 3], seconds (mean of the orders, each its best) and spreads."""

    precision: str
    shapes: np.ndarray
    seconds: Floats
    spreads: list[float]
    seconds_by_order: dict[str, Floats]
    peak_flops_per_s: float

    def fit(self) -> ProductFit:
        """Coefficients, and the share of the peak that squares reach."""
        m, n, k = self.shapes.T
        squares = {
            str(side): float(
                f"{2.0 * float(side) ** 3 / float(t) / self.peak_flops_per_s:.4g}"
            )  # a GPU: 1e-6 at side 32
            for (side, other, inner), t in zip(self.shapes.tolist(), self.seconds, strict=True)
            if side == other == inner
        }
        return fit_products(product_terms(m, n, k), self.seconds, squares)


def ladder(most_flops: float, largest_side: int, count: int = SPREAD_SHAPES) -> list[Shape]:
    """Squares and ``count`` spread shapes (a Halton sequence, so always the same) of at most ``most_flops``."""
    shapes = [(side, side, side) for side in (2**i for i in range(5, 15)) if side <= largest_side]
    index = 0
    octaves = np.log2(largest_side / SMALLEST_SIDE)
    spread: list[Shape] = []
    while len(spread) < count and index < 100 * count:
        index += 1
        sides = [SMALLEST_SIDE * 2.0 ** (octaves * _halton(index, base)) for base in (2, 3, 5)]
        m, n, k = (round(side / STEP) * STEP for side in sides)
        spread.append((m, n, k))
        if not MIN_FLOPS <= 2.0 * m * n * k <= most_flops:
            spread.pop()
    shapes = [shape for shape in shapes if 2.0 * shape[0] ** 3 <= most_flops]
    return list(dict.fromkeys([*shapes, *spread]))


def _halton(index: int, base: int) -> float:
    share, value = 1.0, 0.0
    while index:
        share /= base
        value += share * (index % base)
        index //= base
    return value


def measure_products(clock: Clock, precision: str, seconds: float, tick: Tick) -> Products:
    """Time the ladder for about ``seconds``; its largest shape is chosen so that several rounds fit."""
    deadline = time.perf_counter() + seconds
    probe = _case((512, 512, 512), precision, "forward", _pool(512 * 512, precision, clock.device))
    clock.warm_up(probe)
    start = time.perf_counter()
    for _ in range(PROBES):
        clock.seconds(probe.run, probe.calls)
    rate = 2.0 * 512**3 * PROBES * probe.calls / (time.perf_counter() - start)  # by the wall: other programs count
    on_cpu = clock.device.type == "cpu"
    orders = ORDERS if precision != "fp8" else ORDERS[:1]
    most_flops = rate * seconds / (ROUNDS_AIMED * len(orders) * 6)
    shapes = ladder(most_flops, 8192 if on_cpu else 16384)
    largest = max(max(m * k, k * n) for m, n, k in shapes)
    pool = _pool(largest, precision, clock.device)
    cases = [_case(shape, precision, order, pool) for order in orders for shape in shapes]
    time_in_rounds(clock, cases, deadline, tick)
    by_order = {o: np.array([c.best for c in cases if c.key[1] == o]) for o in orders}
    flops = np.array([2.0 * np.prod(np.array(c.key[0], dtype=float)) for c in cases])
    return Products(
        precision=precision,
        shapes=np.array(shapes),
        seconds=np.mean(list(by_order.values()), axis=0),
        spreads=[case.spread for case in cases],
        seconds_by_order=by_order,
        peak_flops_per_s=float((flops / np.array([case.best for case in cases])).max()),
    )


def precisions_of(device: torch.device) -> list[str]:
    """What this device multiplies in: fp8 only where CUDA has it (compute capability 8.9 and above)."""
    has_fp8 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)
    return [*DTYPES, "fp8"] if has_fp8 else [*DTYPES]


def _pool(elements: int, precision: str, device: torch.device) -> Tensor:
    """Random numbers that all operands are views of: making new ones would take as long as timing them."""
    dtype = torch.float8_e4m3fn if precision == "fp8" else DTYPES[precision]
    return torch.randn(elements, device=device).to(dtype)


def _case(shape: Shape, precision: str, order: str, pool: Tensor) -> Case:
    m, n, k = shape
    if precision == "fp8":
        return Case((shape, order), _fp8(_matrix(m, k, pool, False), _matrix(k, n, pool, True)))
    a = _matrix(m, k, pool, transposed=order == "weight gradient")
    b = _matrix(k, n, pool, transposed=order == "forward")
    return Case((shape, order), lambda: torch.mm(a, b))


def _matrix(rows: int, columns: int, pool: Tensor, transposed: bool) -> Tensor:
    flat = pool[: rows * columns]
    return flat.view(columns, rows).t() if transposed else flat.view(rows, columns)


def _fp8(a: Tensor, b: Tensor) -> Callable[[], Any]:
    """A product of float8_e4m3fn operands, one scale a tensor, into bf16; B is column-major, as cuBLASLt asks."""
    one = torch.ones((), device=a.device)
    return lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
