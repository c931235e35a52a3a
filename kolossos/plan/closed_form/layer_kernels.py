"""Best-case seconds of one layer's kernels, from the shapes in ``work`` and the kernel tables.

This is the slow part of a prediction (tiles, waves, table look-ups), and it depends on few of a layout's numbers:
so a search prices the distinct combinations once and picks from them (``distinct``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.choices import NAMES, Precision
from kolossos.plan.closed_form.work import Matmul, Part, matmuls
from kolossos.plan.columns import Column, Columns, LayoutColumns, ModelColumns
from kolossos.plan.kernels import matmul_seconds, windowed_attention_seconds
from kolossos.plan.rates.hardware import HardwareColumns
from kolossos.specs.gpu import GpuSpec

_KEYS = ("micro_batch_size", "seq_len", "tp", "cp", "ep", "etp", "precision")


@dataclass(frozen=True)
class LayerKernels(Columns):
    """Seconds of one micro-batch: forward, backward to the inputs (dx) and to the weights (dw)."""

    attention_forward: Column
    attention_dx: Column
    attention_dw: Column
    dense_forward: Column
    dense_dx: Column
    dense_dw: Column
    experts_forward: Column
    experts_dx: Column
    experts_dw: Column
    head_forward: Column
    head_dx: Column
    head_dw: Column
    core_forward: Column
    core_backward: Column
    scores_forward: Column
    """The two products of attention that writes its scores."""
    attention_at_peak: Column
    """Forward products at the printed peak: no fitted scale may go below."""
    dense_at_peak: Column
    experts_at_peak: Column
    head_at_peak: Column
    quantized_bytes_attention: Column
    quantized_bytes_dense: Column
    quantized_bytes_experts: Column
    state_forward: Column
    state_dx: Column
    state_dw: Column
    state_core_forward: Column
    state_core_backward: Column
    state_at_peak: Column
    quantized_bytes_state: Column
    """Operands of products in 8 or 4 bits, in 16 bits: what has to be cast, forward and backward."""
    kinds: tuple["LayerKernels", ...] = ()
    """One by one, where the model has several kinds of layer."""


def distinct(layout: LayoutColumns) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows with distinct kernels, and for every layout which of them is its own."""
    code = np.zeros(layout.tp.shape)
    for name in _KEYS:
        column = getattr(layout, name)
        if column.ndim:
            values, index = np.unique(column, return_inverse=True)
            code = code * len(values) + index
    _, rows, inverse = np.unique(code, return_index=True, return_inverse=True)
    return rows, inverse


def layer_kernels(model: ModelColumns, hardware: HardwareColumns, layout: LayoutColumns) -> LayerKernels:
    """Kernel seconds of every row."""
    if model.kinds:
        kinds = tuple(layer_kernels(kind, hardware, layout) for kind in model.kinds)
        return replace(kinds[0], kinds=kinds)
    shape = np.broadcast_shapes(layout.tp.shape, hardware.gpu.shape, model.dim.shape)
    zero = np.zeros(shape)
    sums = {f"{part}_{pass_}": zero for part in PARTS for pass_ in _PASSES}
    casts = {part: zero for part in PARTS}
    peaks = dict(casts)
    for product in matmuls(model, layout):
        part = _PART[product.part]
        precision = _precision(layout, product.low_precision, shape)
        peaks[part] = peaks[part] + _at_peak(hardware, precision, product.flops)
        for pass_, (m, n, k) in _passes(product).items():
            seconds = _by_card(hardware, precision, shape, (m, n, k), product.groups)
            sums[f"{part}_{pass_}"] = sums[f"{part}_{pass_}"] + seconds * product.count
        if product.low_precision:
            elements = product.m * product.k + product.m * product.n + product.n * product.k
            casts[part] = casts[part] + 2.0 * elements * product.groups * product.count
    core = [_core(model, hardware, layout, shape, backward) for backward in (False, True)]
    state_core = sums.pop("state_core_forward"), sums.pop("state_core_dx") + sums.pop("state_core_dw")
    peaks.pop("state_core")
    return LayerKernels(
        **sums,  # pyright: ignore[reportArgumentType]
        state_core_forward=state_core[0],
        state_core_backward=state_core[1],
        quantized_bytes_state=casts["state"],
        core_forward=core[0],
        core_backward=core[1],
        scores_forward=_score_products(model, hardware, layout, shape),
        quantized_bytes_attention=casts["attention"],
        quantized_bytes_dense=casts["dense"],
        quantized_bytes_experts=casts["experts"],
        **{f"{part}_at_peak": seconds for part, seconds in peaks.items()},  # pyright: ignore[reportArgumentType]
    )


_PASSES = ("forward", "dx", "dw")
PARTS = ("attention", "dense", "experts", "head", "state", "state_core")
_PART = {
    Part.ATTENTION: "attention",
    Part.DENSE: "dense",
    Part.EXPERTS: "experts",
    Part.ROUTER: "experts",
    Part.HEAD: "head",
    Part.STATE: "state",
    Part.STATE_CORE: "state_core",
}


def _passes(product: Matmul) -> dict[str, tuple[Column, Column, Column]]:
    m, n, k = product.m, product.n, product.k
    return {"forward": (m, n, k), "dx": (m, k, n), "dw": (n, k, m)}


def _cards(hardware: HardwareColumns, shape: tuple[int, ...]) -> Iterator[tuple[GpuSpec, NDArray[np.bool_]]]:
    """Each card with the rows that it computes."""
    cards = {id(card): card for card in hardware.gpu.ravel()}
    if len(cards) == 1:
        yield next(iter(cards.values())), np.ones(shape, dtype=bool)
        return
    owners = np.broadcast_to(np.vectorize(id, otypes=[np.int64])(hardware.gpu), shape)
    for key, card in cards.items():
        yield card, owners == key


def _precision(layout: LayoutColumns, low_precision: bool, shape: tuple[int, ...]) -> Column:
    """Of the products: that of the layout, or bf16 at least (fp32 stays) for those that are kept out of 8 bits."""
    return np.broadcast_to(
        layout.precision if low_precision else np.minimum(layout.precision, float(Precision.BF16)), shape
    )


def _by_card(
    hardware: HardwareColumns,
    precisions: Column,
    shape: tuple[int, ...],
    sizes: tuple[Column, ...],
    groups: Column,
) -> Column:
    """Kernel times row by row, asked of the tables once for each card and precision."""
    columns = [np.broadcast_to(c, shape) for c in (*sizes, groups)]
    seconds = np.zeros(shape)
    for card, owned in _cards(hardware, shape):
        for precision in np.unique(precisions[owned]):
            rows = owned & (precisions == precision)
            m, n, k, batch = (c[rows] for c in columns)
            name = NAMES["precision"][int(precision)]
            seconds[rows] = matmul_seconds(card, m, n, k, precision=name, batch=batch, quantize_input=False)
    return seconds


def _at_peak(hardware: HardwareColumns, precisions: Column, flops: Column) -> Column:
    """Seconds below which no product can be."""
    seconds = np.zeros(precisions.shape)
    for card, owned in _cards(hardware, precisions.shape):
        for precision in np.unique(precisions[owned]):
            rows = owned & (precisions == precision)
            seconds[rows] = np.broadcast_to(flops, precisions.shape)[rows] / card.peak(
                NAMES["precision"][int(precision)]
            )
    return seconds


def _core(
    model: ModelColumns, hardware: HardwareColumns, layout: LayoutColumns, shape: tuple[int, ...], backward: bool
) -> Column:
    """The attention core in one fused kernel, causal. cp cuts the queries so that every rank has equal work."""
    if not np.any(model.attention):
        return np.zeros(shape)
    heads = np.maximum(model.n_heads / layout.tp, 1.0)
    kv_heads = np.maximum(model.n_kv_heads / layout.tp, 1.0)
    args = (layout.micro_batch_size, layout.seq_len, model.window, model.chunked, heads, kv_heads)
    width = np.maximum((model.head_dim + model.v_head_dim) / 2, 1.0)
    columns = [np.broadcast_to(c, shape) for c in (*args, width)]
    precisions = _precision(layout, False, shape)
    seconds = np.zeros(shape)
    for card, owned in _cards(hardware, shape):
        for precision in np.unique(precisions[owned]):
            rows = owned & (precisions == precision)
            sizes, name = [c[rows] for c in columns], NAMES["precision"][int(precision)]
            seconds[rows] = windowed_attention_seconds(card, *sizes, precision=name, backward=backward)
    return seconds * np.broadcast_to(model.attention, shape) / np.broadcast_to(layout.cp, shape)


def _score_products(
    model: ModelColumns, hardware: HardwareColumns, layout: LayoutColumns, shape: tuple[int, ...]
) -> Column:
    if not np.any(model.attention):
        return np.zeros(shape)
    groups = layout.micro_batch_size * np.maximum(model.n_heads / layout.tp, 1.0)
    s, d = layout.seq_len, np.maximum(model.head_dim, 1.0)
    precision = _precision(layout, False, shape)
    up = _by_card(hardware, precision, shape, (s, s, d), groups)
    down = _by_card(hardware, precision, shape, (s, d, s), groups)
    return (up + down) * np.broadcast_to(model.attention, shape) / np.broadcast_to(layout.cp, shape)
