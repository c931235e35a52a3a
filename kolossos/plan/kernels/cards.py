"""The fitted coefficients of a card, read from `coefficients/*.toml`, or those of its architecture family.

Coefficients are shares of the card's own peak and bandwidth, or seconds, so they carry over to a card of the same
family that was not measured: an H800 computes as an H100, a card described in a TOML file as its family does.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from kolossos.errors import InputError, nearest
from kolossos.specs.catalogue import load_gpu
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.gpu_family import KernelFacts, load_family

FOLDER = Path(__file__).parent / "coefficients"
# MXFP8 scales blocks of 32 where the measured kernels scale blocks of 128; nothing closer was measured.
STANDS_FOR = {"mxfp8": "fp8_block"}

card = cache(load_gpu)


def coefficients(gpu: GpuSpec, kernel: str, precision: str) -> Mapping[str, float]:
    """Coefficients of `kernel` ("matmul" or "attention") in `precision`: the card's own, else its family's.

    InputError if the family was not measured in that precision (or, for a CPU, at all).
    """
    tables = _tables(kernel_facts(gpu).measured_on, kernel) | _tables(gpu.name, kernel)
    name = STANDS_FOR.get(precision, precision)
    if name not in tables or peak_name(precision) not in gpu.peak_flops.model_dump(exclude_none=True):
        known = [table for table in tables if getattr(gpu.peak_flops, peak_name(table))]
        raise InputError(f"{gpu.name} has no {kernel} times in {precision!r}{nearest(precision, known)}")
    return tables[name]["coefficients"]


def kernel_facts(gpu: GpuSpec) -> KernelFacts:
    """What the kernels of its family have in common; InputError for a family (a processor) that has none."""
    family = load_family(gpu.family)
    if family.kernels is None:
        raise InputError(f"no kernel times for {gpu.name}: its family '{gpu.family}' was not measured")
    return family.kernels


def peak_name(precision: str) -> str:
    """The rate of `PeakFlops` that bounds `precision`: the fp8 variants share one."""
    return precision.split("_")[0]


def peak(gpu: GpuSpec, precision: str) -> float:
    """Dense matrix FLOP/s in `precision`."""
    return gpu.peak(peak_name(precision))


@cache
def _tables(name: str, kernel: str) -> dict[str, dict]:
    path = FOLDER / f"{name}.toml"
    return tomllib.loads(path.read_text()).get(kernel, {}) if path.is_file() else {}
