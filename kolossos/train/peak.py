"""The machine's matrix-product peak, measured: MFU is counted against what this machine does, not its data sheet."""

import time

import torch

SECONDS = 0.4


def measured_peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large square product in ``dtype``: the best of many, for the peak is what the machine can do."""
    size = 1024 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    best, deadline = float("inf"), time.perf_counter() + SECONDS
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
