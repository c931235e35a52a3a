"""Several processes as the ranks of one job, over gloo and a file: no ports, no launcher."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing


def on_ranks(n_ranks: int, work: Callable[[], Any], folder: Path) -> list[Any]:
    """What ``work`` (a function of a module) returns on each of ``n_ranks`` ranks."""
    folder.mkdir(parents=True, exist_ok=True)
    multiprocessing.spawn(_rank, (n_ranks, work, str(folder)), nprocs=n_ranks, join=True)
    return [torch.load(folder / f"result-{rank}.pt", weights_only=False) for rank in range(n_ranks)]


def _rank(rank: int, n_ranks: int, work: Callable[[], Any], folder: str) -> None:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=n_ranks)
    try:
        torch.save(work(), f"{folder}/result-{rank}.pt")
    finally:
        dist.destroy_process_group()
