"""What one core of this machine can do at most: bytes read a second, and products in fp32. `python bounds.py --core 1`.

Bytes by the size of what is read again and again: below the size of a cache it is that cache's speed. In CPU seconds,
so that neighbours on the core count for little.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from clock import stay_on
from contest import BYTES_PER_WEIGHT, LONG_PROMPT_TOKENS, Shape

LARGEST = 1 << 30
SIZES = tuple(1 << power for power in range(22, 31))
MATMUL, ENOUGH_S = 1024, 0.5
PRODUCTS = {"fp32": 1, "int8": 4}
"""In one instruction, of fp32's: VNNI multiplies four bytes where one float fits."""


def measured(core: int) -> dict:
    """{"read_bytes_per_s": {size: rate}, "fp32_flop_per_s": rate} by a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__)), "--core", str(core)]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def measure() -> dict:
    import torch

    torch.set_num_threads(1)
    room = torch.ones(LARGEST // 4)
    reading = {str(size): size / shortest(lambda size=size: room[: size // 4].sum()) for size in SIZES}
    left, right = torch.randn(2, MATMUL, MATMUL)
    return {"read_bytes_per_s": reading, "fp32_flop_per_s": 2 * MATMUL**3 / shortest(lambda: left @ right)}


def shortest(work) -> float:
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < ENOUGH_S:
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def best_of(several: list[dict]) -> dict:
    """The best of several measurements: the machine can do that."""
    reading = {size: max(m["read_bytes_per_s"][size] for m in several) for size in several[0]["read_bytes_per_s"]}
    return {"read_bytes_per_s": reading, "fp32_flop_per_s": max(m["fp32_flop_per_s"] for m in several)}


def reading_speed(machine: dict, size: float) -> float:
    """Bytes a second when ``size`` bytes are read again and again: that of the next size below that was measured."""
    sizes = sorted(machine["read_bytes_per_s"], key=int)
    below = [key for key in sizes if int(key) <= size] or sizes[:1]
    return machine["read_bytes_per_s"][below[-1]]


def decode_bound(machine: dict, shape: Shape, weights: str, batch: int) -> float:
    """Tokens a second at most: each step reads the weights it touches once and multiplies with them."""
    size = shape.touched(batch) * BYTES_PER_WEIGHT[weights]
    products = 2 * shape.active * batch / (machine["fp32_flop_per_s"] * PRODUCTS[weights])
    return batch / max(size / reading_speed(machine, size), products)


def first_token_bound(machine: dict, shape: Shape, weights: str) -> float:
    """Seconds at least for a prompt of 512 tokens; the output matrix is needed for the last token alone."""
    output = shape.vocab_size * shape.dim
    return (
        2 * ((shape.active - output) * LONG_PROMPT_TOKENS + output) / (machine["fp32_flop_per_s"] * PRODUCTS[weights])
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, required=True)
    given = parser.parse_args()
    stay_on(given.core)
    print(json.dumps(measure()))
