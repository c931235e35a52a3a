"""Processes that stay: the ranks of one job over gloo, spawned once, that run one case after another."""

import itertools
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

PATIENCE_S = 300.0


class RankPool:
    """``n_ranks`` processes; `run` has all of them call a function of a module with the same arguments."""

    def __init__(self, n_ranks: int, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.broken = False
        context = multiprocessing.get_context("spawn")
        self.pipes, theirs = zip(*(context.Pipe() for _ in range(n_ranks)), strict=True)
        self.processes = [
            context.Process(target=_rank, args=(rank, n_ranks, str(folder), pipe), daemon=True)
            for rank, pipe in enumerate(theirs)
        ]
        for process in self.processes:
            process.start()

    def run(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What ``work`` returns on each rank; AssertionError with the traces of those that failed."""
        for pipe in self.pipes:
            pipe.send((work, arguments))
        results, failed = [], []
        for rank, pipe in enumerate(self.pipes):
            if not pipe.poll(5.0 if failed else PATIENCE_S):
                failed.append(f"rank {rank}: no answer")
                continue
            trace, result = pipe.recv()
            results.append(result)
            if trace:
                failed.append(f"rank {rank}: {trace}")
        self.broken = bool(failed)
        assert not failed, "\n".join(failed)
        return results

    def close(self) -> None:
        for process in self.processes:
            process.kill()


def _rank(rank: int, n_ranks: int, folder: str, pipe: Any) -> None:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    for case in itertools.count():
        work, arguments = pipe.recv()
        try:
            # A group has threads that poll, each case makes a dozen groups, and only the end of all of them ends those.
            meeting = f"file://{folder}/rendezvous-{case}"
            dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=n_ranks)
            result = work(*arguments)
            dist.destroy_process_group()
            pipe.send((None, result))
        except BaseException:
            pipe.send((traceback.format_exc(), None))
