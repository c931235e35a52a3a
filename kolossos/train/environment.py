"""The device that a run computes on, and what is written down about it."""

import time

import torch

from kolossos.errors import InputError
from kolossos.runs.environment import Environment, processor_name
from kolossos.specs.run import ComputeSpec
from kolossos.train.precision import PrecisionChoice

PEAK_SECONDS = 0.4


def choose_device(compute: ComputeSpec) -> torch.device:
    """The device that the run asks for; sets the number of CPU threads where one is given."""
    if compute.threads:
        torch.set_num_threads(compute.threads)
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device = 'cuda', but torch finds no CUDA device here; use 'auto' or 'cpu'")
    use_cuda = compute.device == "cuda" or (compute.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda" if use_cuda else "cpu")


def environment_of(
    device: torch.device, dtype: torch.dtype, compiled: str, choice: PrecisionChoice | None = None
) -> Environment:
    """Software and machine of this process; measures the peak. ``choice``: of the precision, where there was one."""
    return Environment.here(
        torch=torch.__version__,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name(),
        threads=torch.get_num_threads(),
        measured_peak_flops=measured_peak_flops(device, dtype),
        compiled=compiled,
        precision_choice=choice.record() if choice else None,
    )


def measured_peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large square product in ``dtype``: the best of many.

    MFU is counted against what this machine can do, not against its data sheet.
    """
    size = 1024 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    best, deadline = float("inf"), time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < deadline or best == float("inf"):
        _wait(device)
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return 2.0 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
