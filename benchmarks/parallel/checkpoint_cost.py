"""What a save costs: how long training waits for it, and how long until it is durable, beside torch's own ways.

    python benchmarks/parallel/checkpoint_cost.py [--gibibytes 1 4] [--rounds 5] [--folder DIR] [--out FILE.json]

Each way saves the same fp32 state several times, one way after the other in every round and in another order each
round, and waits for the write to end before the next. Blocked is the time for which the caller waited, at the first
save (torch's ways make their buffers then, ours were made behind the first steps) and at later ones. The disk's own
rate is that of as many bytes written and flushed by one plain loop in the same round.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from kolossos.runs.environment import processor_name
from kolossos.train.checkpoints.folder import CheckpointFolder

Save = Callable[[int], Callable[[], object]]
OURS, DISK = "kolossos", "plain write of as many bytes"
TENSORS = 64
BLOCK = 8 << 20


def ways(state: dict[str, torch.Tensor], root: Path) -> dict[str, Save]:
    """Each way by name: called with a step it blocks as a save does, and returns what waits for the write."""
    folder = CheckpointFolder(root / "ours", keep=1)
    folder.prepare(state)
    cuda = torch.cuda.is_available()
    stager = DefaultStager(StagingOptions(cuda, False, False, cuda))

    def ours(step: int) -> Callable[[], object]:
        folder.save(step, state)
        return folder.finish

    def staged(step: int) -> Callable[[], object]:
        copy: Any = stager.stage(state)
        return lambda: dcp.save(copy, checkpoint_id=str(root / "staged"), no_dist=True)

    def async_save(step: int) -> Callable[[], object]:
        return dcp.async_save(state, checkpoint_id=str(root / "async"), no_dist=True).result  # pyright: ignore

    def plain(step: int) -> Callable[[], object]:
        def write() -> None:
            write_plainly(state, root / f"plain-{step}")
            (root / f"plain-{step - 1}").unlink(missing_ok=True)

        return write

    return {OURS: ours, "dcp.async_save": async_save, "dcp.save of a DefaultStager's copy": staged, DISK: plain}


def write_plainly(state: dict[str, torch.Tensor], path: Path) -> None:
    with open(path, "wb") as file:
        for tensor in state.values():
            content = tensor.cpu().view(torch.uint8).numpy().data
            for start in range(0, len(content), BLOCK):
                file.write(content[start : start + BLOCK])
        file.flush()
        os.fsync(file.fileno())


def measure(gibibytes: float, rounds: int, parent: Path | None) -> dict[str, dict[str, Any]]:
    """Seconds by way: blocked at the first save and later (median), and until durable (median of later ones)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    n = int(gibibytes * 2**30) // 4 // TENSORS
    state = {f"tensor.{i}": torch.randn(n, device=device) for i in range(TENSORS)}
    blocked: dict[str, list[float]] = {}
    written: dict[str, list[float]] = {}
    root = Path(tempfile.mkdtemp(dir=parent))
    try:
        saves = ways(state, root)
        time.sleep(2 * gibibytes)  # training has begun, and the first save is not due yet
        names = list(saves)
        for step in range(rounds):
            for name in names[step % len(names) :] + names[: step % len(names)]:  # each comes first once
                save = saves[name]
                os.sync()  # what the one before left to write is its own
                start = time.perf_counter()
                wait = save(step)
                blocked.setdefault(name, []).append(time.perf_counter() - start)
                wait()
                written.setdefault(name, []).append(time.perf_counter() - start)
    finally:
        shutil.rmtree(root)
    return {
        name: {
            "blocked_first_s": times[0],
            "blocked_later_s": statistics.median(times[1:]),
            "durable_s": statistics.median(written[name][1:]),
            "durable_all_s": written[name],
        }
        for name, times in blocked.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gibibytes", type=float, nargs="+", default=[1.0, 4.0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {
        "date": str(date.today()),
        "processor": processor_name(),
        "torch": torch.__version__,
        "sizes": {},
    }
    for gibibytes in options.gibibytes:
        rows = found["sizes"][f"{gibibytes:g} GiB"] = measure(gibibytes, options.rounds, options.folder)
        disk = rows[DISK]["durable_s"]
        print(f"{gibibytes:g} GiB of fp32 in {TENSORS} tensors; seconds a GiB")
        for name, row in rows.items():
            first, later, durable = (
                row[key] / gibibytes for key in ("blocked_first_s", "blocked_later_s", "durable_s")
            )
            print(
                f"  {name:36} blocked first {first:5.2f}, later {later:5.2f}, durable {durable:5.2f} "
                f"({row['durable_s'] / disk:.2f} of the plain write)"
            )
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
