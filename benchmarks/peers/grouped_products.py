"""Why the experts' bf16 products round their row counts on a CPU: new shapes against known ones.

    python benchmarks/peers/grouped_products.py

Multiplies rows, split over 8 experts anew at every step as routing does, (a) with a plain loop over experts and (b) as
Kolossos does. Prints milliseconds a step and the growth of the process in MiB.
"""

import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor

from kolossos.model.experts.grouped_cpu import mm_cpu_bf16

ROWS, DIM, EXPERT_DIM, EXPERTS, STEPS = 4096, 256, 384, 8, 150


def loop_over_experts(x_RI: Tensor, w_EIO: Tensor, ends_E: Tensor) -> Tensor:
    out = x_RI.new_empty(x_RI.shape[0], w_EIO.shape[2])
    start = 0
    for expert, end in enumerate(ends_E.tolist()):
        torch.mm(x_RI[start:end], w_EIO[expert], out=out[start:end])
        start = end
    return out


def measure(product: Callable[[Tensor, Tensor, Tensor], Tensor]) -> tuple[float, float]:
    """Mean milliseconds a step over the second half of the steps, and MiB that the process grew by."""
    torch.manual_seed(0)
    x, w = torch.randn(ROWS, DIM).bfloat16(), torch.randn(EXPERTS, DIM, EXPERT_DIM).bfloat16()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = 0.0
    for step in range(STEPS):
        if step == STEPS // 2:
            start = time.perf_counter()
        choices = torch.multinomial(torch.softmax(0.3 * torch.randn(EXPERTS), 0), ROWS, replacement=True)
        product(x, w, torch.bincount(choices, minlength=EXPERTS).cumsum(0).int())
    seconds = (time.perf_counter() - start) / (STEPS - STEPS // 2)
    return 1e3 * seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    torch.set_num_threads(1)
    for name, product in (("row counts rounded", mm_cpu_bf16), ("plain loop over experts", loop_over_experts)):
        milliseconds, growth = measure(product)
        print(f"{name:24} {milliseconds:7.2f} ms a step, {growth:6.0f} MiB more")


if __name__ == "__main__":
    main()
