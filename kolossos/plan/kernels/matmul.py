"""Seconds of a matrix product C_MN = A_MK @ B_KN on one GPU.

A tensor-core library covers C with tiles, one tile (or a pair) an SM, and walks over k. With P SMs and tiles of a x b:

    step    = norm(2ab / rate, (a + b) bytes / share of the L2 bandwidth)     seconds an SM spends per unit of k
    waves   = tiles / P; the last, partial wave counts `tail` of the way up to a whole one
    compute = waves * (k * step + tile_seconds)                               every SM walks over all of k, or
              k / s * step + (1 + split_tiles) * tile_seconds + s partial C   split-k: s SMs share one tile
    memory  = (mk + kn + mn) bytes / HBM bandwidth
    seconds = launch + norm(min over tiles of compute, memory) [+ quantisation of A]

where norm(x, y) = (x^p + y^p)^(1/p). The minimum over tile shapes is what a library's heuristic or autotuner aims at.
A card and precision have these coefficients, in `coefficients/<card>.toml`:

    mma_efficiency       rate over the peak inside a tile        hbm_efficiency   bandwidth reached over that printed
    l2_bandwidth         of the L2, in HBM bandwidths            overlap          p of the norm: 1 sums, infinity hides
    tile_seconds         start and end of one tile               tail             cost of an empty slot in the last wave
    split_tiles          cost of a reduction, in tile_seconds    launch_seconds   one kernel (two, with quantisation)
    throttle             slowdown of long products, which reach the power limit: compute grows by the share
    throttle_flops       throttle * F / (F + throttle_flops) of the FLOPs F
    unaligned            factor on compute where m is no multiple of 8
    quantize_efficiency  bandwidth reached over that printed by the pass that turns A from bf16 into 8 or 4 bits

Re-reading of operands from HBM beyond the L2 was tried as a term and dropped: it did not lower the error.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kolossos.plan.kernels.cards import card, coefficients, kernel_facts, peak
from kolossos.plan.kernels.measured import measured_product_seconds
from kolossos.specs.gpu import GpuSpec

Floats = NDArray[np.float64]

# nvfp4: 4 bits and one 8-bit scale per 16 elements.
OPERAND_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "fp8_static": 1.0, "mxfp8": 1.0, "nvfp4": 0.5625}
OUTPUT_BYTES = 2.0
SMALLEST_SPLIT = 256  # elements of k that one part of a split product keeps at least
LARGEST_MEASURED_FLOPS = 2.2e14  # the power limit is taken as reached here: beyond it nothing was measured
CHUNK = 16_384  # shapes at a time, so that the working arrays stay in the processor's cache


def matmul_seconds(
    gpu: str | GpuSpec,
    m: ArrayLike,
    n: ArrayLike,
    k: ArrayLike,
    *,
    precision: str = "bf16",
    batch: ArrayLike = 1,
    clock_scale: float = 1.0,
    quantize_input: bool = True,
) -> Floats:
    """Seconds of `batch` products of shape (m, k) @ (k, n) in one launch; sizes >= 1, broadcast together.

    gpu: a name of the catalogue, or a GpuSpec. precision: "bf16", "fp8" (one scale a tensor or row), "fp8_block" (one
    scale a block of 128), "fp8_static" (scales known beforehand), "mxfp8" or "nvfp4", if the family was measured in it.
    quantize_input: below bf16, add the pass that turns A from bf16 into `precision`, as the measured kernels do.
    clock_scale: core clock under load over boost clock. Never faster than peak FLOP/s or HBM bandwidth allow.
    Transposed operands (weight and input gradients) are products like any other here.
    """
    gpu = card(gpu) if isinstance(gpu, str) else gpu
    if gpu.measured is not None and precision in gpu.measured.products:
        return measured_product_seconds(gpu, precision, m, n, k, batch) / clock_scale
    fitted = coefficients(gpu, "matmul", precision)
    quantize = quantize_input and precision != "bf16"
    return in_chunks(
        lambda *sizes: product_seconds(gpu, fitted, precision, *sizes, clock_scale=clock_scale, quantize=quantize),
        *(m, n, k, batch),
    )


def in_chunks(function: Callable[..., Floats], *sizes: ArrayLike) -> Floats:
    """`function` over the broadcast `sizes`, a cache-sized piece at a time."""
    arrays = np.broadcast_arrays(*(np.asarray(size, dtype=np.float64) for size in sizes))
    flat = [array.ravel() for array in arrays]
    seconds = np.empty(flat[0].size)
    for start in range(0, seconds.size, CHUNK):
        piece = slice(start, start + CHUNK)
        seconds[piece] = function(*(array[piece] for array in flat))
    return seconds.reshape(arrays[0].shape)


def product_seconds(
    gpu: GpuSpec,
    c: Mapping[str, float],
    precision: str,
    m: Floats,
    n: Floats,
    k: Floats,
    batch: Floats,
    *,
    clock_scale: float = 1.0,
    quantize: bool = False,
) -> Floats:
    """The model itself, for float arrays of one length; the fit calls it with coefficients of its own."""
    rate = peak(gpu, precision) * clock_scale
    bandwidth, width = gpu.memory_bandwidth_bytes_per_s, OPERAND_BYTES[precision]
    flops = 2.0 * batch * m * n * k
    hbm_bytes = batch * ((m * k + k * n) * width + m * n * OUTPUT_BYTES)
    bounded = np.minimum(flops, LARGEST_MEASURED_FLOPS)
    compute = _fastest_tile_seconds(gpu, c, m, n, k, batch, rate=rate, width=width, clock_scale=clock_scale)
    compute *= 1.0 + c["throttle"] * bounded / (bounded + c["throttle_flops"])
    compute *= np.where(m % 8 == 0, 1.0, c["unaligned"])
    memory = hbm_bytes / (bandwidth * c["hbm_efficiency"])
    seconds = c["launch_seconds"] + _norm(compute, memory, c["overlap"])
    if quantize:
        seconds += batch * m * k * (2.0 + width) / (bandwidth * c["quantize_efficiency"])
    return np.maximum(seconds, np.maximum(flops / rate, hbm_bytes / bandwidth))


def _fastest_tile_seconds(
    gpu: GpuSpec,
    c: Mapping[str, float],
    m: Floats,
    n: Floats,
    k: Floats,
    batch: Floats,
    *,
    rate: float,
    width: float,
    clock_scale: float,
) -> Floats:
    """The least compute time over tile shapes, each run whole in waves or split along k."""
    sm_rate = rate * c["mma_efficiency"] / gpu.n_sms
    l2_bandwidth = gpu.memory_bandwidth_bytes_per_s * c["l2_bandwidth"] * clock_scale
    tile_seconds = c["tile_seconds"] / clock_scale
    most_parts = np.floor(k / SMALLEST_SPLIT)
    partial_seconds = 8.0 * batch * m * n / l2_bandwidth  # an fp32 partial result written and read once
    best = np.full(m.shape, np.inf)
    for rows, columns, sms in kernel_facts(gpu).tiles:
        tiles = batch * np.ceil(m / rows) * np.ceil(n / columns)
        slots = gpu.n_sms // sms
        mma = 2.0 * rows * columns / (sms * sm_rate)
        load = (rows + columns) * width / (sms * l2_bandwidth / gpu.n_sms)
        along_k = k * _norm(mma, load, c["overlap"])
        waves = tiles / slots
        counted = np.maximum(waves + c["tail"] * (np.ceil(waves) - waves), 1.0)
        np.minimum(best, counted * (along_k + tile_seconds), out=best)
        parts = np.minimum(np.floor(slots / tiles), most_parts)
        split = along_k / np.maximum(parts, 1.0) + (1.0 + c["split_tiles"]) * tile_seconds + parts * partial_seconds
        np.minimum(best, np.where(parts >= 2.0, split, np.inf), out=best)
    return best


def _norm(x: Floats | float, y: Floats | float, p: float) -> Floats | float:
    """(x^p + y^p)^(1/p): the larger of two times that overlap, plus what the overlap leaves. p = 1 is their sum."""
    return (x**p + y**p) ** (1.0 / p)
