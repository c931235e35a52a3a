"""How long a save keeps training waiting: our reused buffers against torch's own staging and its async save.

    python benchmarks/checkpoint_blocking.py [--mebibytes 256] [--tensors 64] [--rounds 9]

Each way saves the same fp32 state several times, one way after the other in every round, and waits for the write to end
before the next. Printed is the median time for which the caller was blocked, first save (buffers are made) and later.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from kolossos.train.checkpoints.folder import CheckpointFolder

Save = Callable[[int], Callable[[], object]]


def ways(state: dict[str, torch.Tensor], root: Path) -> dict[str, Save]:
    """Each way by name: called with a step it blocks as a save does, and returns what waits for the write."""
    folder = CheckpointFolder(root / "ours", keep=1)
    cuda = torch.cuda.is_available()
    plain = DefaultStager(StagingOptions(cuda, False, False, cuda))
    shared = DefaultStager(StagingOptions(cuda, True, False, cuda))

    def ours(step: int) -> Callable[[], object]:
        folder.save(step, state)
        return folder.finish

    def staged(stager: DefaultStager) -> Save:
        def save(step: int) -> Callable[[], object]:
            copy: Any = stager.stage(state)
            writer = dcp.HuggingFaceStorageWriter(str(root / "staged" / str(step)), save_distributed=True)
            return lambda: dcp.save(copy, storage_writer=writer, no_dist=True)

        return save

    def async_save(step: int) -> Callable[[], object]:
        writer = dcp.HuggingFaceStorageWriter(str(root / "async" / str(step)), save_distributed=True)
        return dcp.async_save(state, storage_writer=writer, no_dist=True).result  # pyright: ignore

    return {
        "reused buffers (ours)": ours,
        "DefaultStager": staged(plain),
        "DefaultStager, shared memory": staged(shared),
        "dcp.async_save": async_save,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=256)
    parser.add_argument("--tensors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    n = options.mebibytes * 2**20 // 4 // options.tensors
    state = {f"tensor.{i}": torch.randn(n, device=device) for i in range(options.tensors)}
    blocked: dict[str, list[float]] = {}
    written: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as root:
        saves = ways(state, Path(root))
        for step in range(options.rounds):
            for name, save in saves.items():
                start = time.perf_counter()
                wait = save(step)
                blocked.setdefault(name, []).append(time.perf_counter() - start)
                wait()
                written.setdefault(name, []).append(time.perf_counter() - start)
    print(f"{options.mebibytes} MiB of fp32 in {options.tensors} tensors on {device}, torch {torch.__version__}")
    for name, times in blocked.items():
        later = statistics.median(times[1:])
        whole = statistics.median(written[name][1:])
        print(
            f"{name:30} first {times[0] * 1e3:7.1f} ms, later {later * 1e3:7.1f} ms, whole save {whole * 1e3:7.0f} ms"
        )


if __name__ == "__main__":
    main()
