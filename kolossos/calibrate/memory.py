"""Memory bandwidth at sizes beyond the cache (copy, and STREAM's triad), and the overhead of one small operation."""

import time
from dataclasses import dataclass

import torch

from kolossos.calibrate.clock import Case, Clock, Tick, time_in_rounds

SMALLEST_BYTES = 16e6
LARGEST_BYTES = 1.2e9
SMALL = 32


@dataclass(frozen=True)
class Memory:
    """Bytes read and written per second at the largest size, by size too; seconds of one small operation."""

    copy_bytes_per_s: float
    triad_bytes_per_s: float
    operation_s: float
    by_bytes: dict[str, dict[int, float]]
    spreads: list[float]

    @property
    def largest_bytes(self) -> int:
        """Of one tensor that was timed."""
        return max(self.by_bytes["copy"])


def sizes_in_bytes(cache_bytes: float, free_bytes: float, seconds: float) -> list[int]:
    """Tensor sizes, growing by four, up to four times the cache where memory and time allow."""
    most = min(max(4.0 * cache_bytes, 64e6), LARGEST_BYTES, free_bytes / 8.0, max(seconds, 0.4) * 4e7)
    sizes = [most]
    while sizes[-1] / 4.0 >= SMALLEST_BYTES:
        sizes.append(sizes[-1] / 4.0)
    return [int(size) // 64 * 64 for size in reversed(sizes)]


def measure_memory(clock: Clock, cache_bytes: float, free_bytes: float, seconds: float, tick: Tick) -> Memory:
    """Time for about ``seconds``. Bytes are those that the program reads and writes, which may be fewer than move."""
    deadline = time.perf_counter() + seconds
    sizes = sizes_in_bytes(cache_bytes, free_bytes, seconds)
    a, b, c = (torch.ones(sizes[-1] // 4, device=clock.device) for _ in range(3))
    cases = []
    for size in sizes:
        x, y, z = (tensor[: size // 4] for tensor in (a, b, c))
        cases.append(Case(("copy", size), lambda x=x, y=y: x.copy_(y)))
        cases.append(Case(("triad", size), lambda x=x, y=y, z=z: torch.add(y, z, alpha=3.0, out=x)))
    one = torch.ones(SMALL, device=clock.device)
    operation = Case(("operation", SMALL), lambda: one.add_(1.0))
    time_in_rounds(clock, [*cases, operation], deadline, tick)
    rates = {"copy": {}, "triad": {}}
    for case in cases:
        kind, size = case.key
        rates[kind][size] = {"copy": 2, "triad": 3}[kind] * size / case.best
    return Memory(
        copy_bytes_per_s=rates["copy"][sizes[-1]],
        triad_bytes_per_s=rates["triad"][sizes[-1]],
        operation_s=operation.best,
        by_bytes=rates,
        spreads=[case.spread for case in [*cases, operation]],
    )
