"""The formats that a card trains in."""

from kolossos.errors import InputError
from kolossos.plan.kernels.cards import coefficients
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import load_family
from kolossos.specs.layout import Precision


def usable_precisions(gpu: GpuSpec) -> tuple[Precision, ...]:
    """The formats that the card multiplies in and whose kernels are known; fp32 only where a machine was measured."""
    load_family(gpu.family)  # a file that cannot be read says so itself
    able: list[Precision] = []
    for name in ("bf16", "fp8", "mxfp8", "nvfp4"):
        if getattr(gpu.peak_flops, name) and _kernels_known(gpu, name):
            able.append(name)
    if gpu.measured is not None and "fp32" in gpu.measured.products:
        able.append("fp32")
    return tuple(able)


def _kernels_known(gpu: GpuSpec, precision: str) -> bool:
    if gpu.measured is not None and precision in gpu.measured.products:
        return True
    try:
        coefficients(gpu, "matmul", precision)
    except InputError:
        return False
    return True
