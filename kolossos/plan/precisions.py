"""The formats that a card trains in."""

from kolossos.errors import InputError
from kolossos.plan.kernels.cards import coefficients
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.layout import Precision


def usable_precisions(gpu: GpuSpec) -> tuple[Precision, ...]:
    """The formats that the card multiplies in and whose kernels are known; fp32 is left to small machines."""
    able: list[Precision] = []
    for name in ("bf16", "fp8", "mxfp8", "nvfp4"):
        if getattr(gpu.peak_flops, name):
            try:
                coefficients(gpu, "matmul", name)
            except InputError:
                continue
            able.append(name)
    return tuple(able)
