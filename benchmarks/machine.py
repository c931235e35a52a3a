"""The machine under a benchmark: what it is, and how fast it multiplies matrices. `python machine.py --threads 2`.

The parent of a benchmark asks for this in a process of its own, so that torch stays out of it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time

from kolossos.runs.environment import processor_name

SIZES = (512, 2048)
REPEATS = 10
LONG_S = 1.0  # a product that takes as long on the smaller size is emulated: the larger one would take minutes


def describe() -> dict:
    return {
        "cpu": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def matmul_peak(threads: int) -> dict:
    """The best of a few square matmuls, in FLOP/s, with the version of torch that ran them; {} without torch."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--threads", str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def measure_matmul(threads: int) -> dict:
    import torch

    measured: dict[str, int | str | float] = {"threads": threads, "torch": torch.__version__}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for size in SIZES:
            left, right = torch.randn(2, size, size).to(dtype)
            seconds: list[float] = []
            while len(seconds) < REPEATS and sum(seconds) < LONG_S:
                start = time.perf_counter()
                torch.mm(left, right)
                seconds.append(time.perf_counter() - start)
            measured[f"{name}_matmul_flop_per_s"] = 2 * size**3 / min(seconds)
            if sum(seconds) > LONG_S:
                break
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    print(json.dumps(measure_matmul(parser.parse_args().threads)))
