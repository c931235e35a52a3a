"""One rank of the group that `collectives` times; rank 0 prints the rows as JSON.

python -m kolossos.calibrate.collective_worker STORE BACKEND RANKS RANK SECONDS
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

SIZES = [1 << power for power in range(10, 26, 3)]
"""Message bytes: the buffer of an all-reduce, the whole of an all-gather, what a rank sends in an all-to-all."""
LARGE_SIZES = [1 << 28]
MIN_ROUNDS = 3


def main(store: str, backend: str, ranks: int, rank: int, seconds: float) -> None:
    """Join the group, time all operations in rounds, leave."""
    device = torch.device("cuda", rank) if backend == "nccl" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        backend, init_method=f"file://{store}", rank=rank, world_size=ranks, timeout=timedelta(seconds=60)
    )
    rows = _time(device, ranks, seconds)
    if rank == 0:
        print(json.dumps(rows))
    dist.destroy_process_group()


def _time(device: torch.device, ranks: int, seconds: float) -> list[tuple[str, int, float, float]]:
    sizes = SIZES + (LARGE_SIZES if device.type == "cuda" else [])
    operations = [(kind, size, run) for size in sizes for kind, run in _operations(size, ranks, device).items()]
    for _, _, run in operations:
        run()
    samples: list[list[float]] = [[] for _ in operations]
    start = time.perf_counter()
    go_on = torch.ones(1, device=device)
    while len(samples[0]) < MIN_ROUNDS or go_on.item() > 0:
        mine = torch.tensor([_seconds(run, device) for _, _, run in operations], device=device, dtype=torch.float64)
        dist.all_reduce(mine, dist.ReduceOp.MAX)
        for row, value in zip(samples, mine.tolist(), strict=True):
            row.append(value)
        go_on.fill_(float(time.perf_counter() - start < seconds))
        dist.broadcast(go_on, 0)
    return [
        (kind, size, min(row), statistics.median(row) / min(row) - 1.0)
        for (kind, size, _), row in zip(operations, samples, strict=True)
    ]


def _operations(size: int, ranks: int, device: torch.device) -> dict[str, Callable[[], object]]:
    whole: Tensor = torch.zeros(size // 4 // ranks * ranks, device=device)
    received, part = torch.empty_like(whole), whole[: len(whole) // ranks].clone()
    return {
        "all-reduce": lambda: dist.all_reduce(whole),
        "all-gather": lambda: dist.all_gather_into_tensor(received, part),
        "all-to-all": lambda: dist.all_to_all_single(received, whole),
    }


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    dist.barrier()
    _finish(device)
    start = time.perf_counter()
    run()
    _finish(device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
