"""The grouped product in bf16 on a CPU, with few distinct shapes.

oneDNN compiles a kernel for every new shape of a bf16 product: about 2 ms and 0.7 MB each, where the product of an
expert with a few hundred rows takes 0.1 ms. Routing makes new row counts at every step, so a plain loop over experts
spends most of its time compiling and grows by gigabytes (benchmarks/peers/grouped_products.py). Here row counts are
rounded up to eight sizes an octave. The rows beyond an expert's own are the next expert's: they are read for
nothing and their results overwritten or left out, so no padding is ever stored.

Shapes: R rows, E experts, I inner width, O outer width.
"""

import torch
from torch import Tensor

MIN_ROWS = 64


def rounded_rows(rows: int) -> int:
    """``rows`` rounded up to a multiple of 64, or of an eighth of the power of two below it if that is more."""
    step = max(MIN_ROWS, 1 << max(0, rows.bit_length() - 4))
    return -(-rows // step) * step


def mm_cpu_bf16(x_RI: Tensor, w_EIO: Tensor, ends_E: Tensor) -> Tensor:
    """Row r times the matrix of its expert, [R, O]."""
    rows = x_RI.shape[0]
    out_RO = x_RI.new_empty(rows, w_EIO.shape[2])
    start = 0
    for expert, end in enumerate(ends_E.tolist()):
        padded = rounded_rows(end - start)
        if start + padded <= rows:  # the surplus rows of ``out`` are written again by the next experts
            torch.mm(x_RI[start : start + padded], w_EIO[expert], out=out_RO[start : start + padded])
        elif end > start:
            first = max(0, rows - padded)  # near the end the surplus rows are those before the expert's own
            out_RO[start:end] = (x_RI[first:rows] @ w_EIO[expert])[start - first : end - first]
        start = end
    return out_RO


def outer_cpu_bf16(x_RI: Tensor, y_RO: Tensor, ends_E: Tensor) -> Tensor:
    """Sum over each expert's rows of x^T y, [E, I, O]."""
    rows = x_RI.shape[0]
    out_EIO = x_RI.new_empty(ends_E.shape[0], x_RI.shape[1], y_RO.shape[1])
    start = 0
    for expert, end in enumerate(ends_E.tolist()):
        first = min(start, max(0, rows - rounded_rows(end - start)))
        last = min(rows, first + rounded_rows(end - start))
        own = x_RI.new_zeros(last - first, x_RI.shape[1])
        own[start - first : end - first] = x_RI[start:end]  # zeros silence the rows of other experts
        torch.mm(own.t(), y_RO[first:last], out=out_EIO[expert])
        start = end
    return out_EIO
