"""In which precision a run multiplies, where it does not say: the machine decides when the run begins.

bf16 is two to four times as fast as fp32 on a processor with units for it, and three times as slow on one that
emulates it. Data sheets and flags do not tell what a library makes of them, so the products of this model are timed in
both. A run keeps what was chosen: another precision makes other sums.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kolossos.model.experts.grouped import grouped_mm
from kolossos.specs.model import ModelSpec
from kolossos.train.layouts import require_trainable_precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
FASTER = 1.1  # bf16 must be that much faster to be worth its rounding
MEASURE_SECONDS = 0.3
FEW_ROWS = 256
PASS_FLOPS = 5e9  # of one timed pass with as many rows as can be: 0.06 s at 80 GFLOP/s
HOPELESS = 4.0  # so much slower on a few rows is slower on many, too
LARGEST = 2048  # wider matrices run as fast as these
BF16_CAPABILITY = (8, 0)  # the first CUDA cards with units for bf16 (Ampere)

Timer = Callable[[str], float]
"""Seconds that the products of a model take in a precision, one measurement."""


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision, why, and the best seconds of each that was timed."""

    precision: str
    reason: str
    seconds: dict[str, float]

    def record(self) -> dict[str, Any]:
        """As environment.json keeps it."""
        return {"precision": self.precision, "reason": self.reason, "seconds": self.seconds}


def compute_dtype(precision: str) -> torch.dtype:
    """The dtype of activations and products; the precision must have been chosen."""
    require_trainable_precision(precision)
    return DTYPES[precision]


def choose_precision(model: ModelSpec, tokens: int, device: torch.device) -> PrecisionChoice:
    """What "auto" is here, for ``model`` and so many tokens in a pass. Takes a second or less."""
    if device.type == "cuda":
        return of_card(torch.cuda.get_device_capability(device))
    choice = faster(product_timer(model, min(tokens, FEW_ROWS), device), 0.0)
    if choice.seconds["bf16"] > HOPELESS * choice.seconds["fp32"]:
        return choice
    return faster(product_timer(model, tokens, device), MEASURE_SECONDS)


def of_card(capability: tuple[int, int]) -> PrecisionChoice:
    """bf16 on a CUDA card that has units for it, else fp32; fp16 would need the loss to be scaled."""
    has, shown = capability >= BF16_CAPABILITY, ".".join(map(str, capability))
    reason = f"a card of compute capability {shown} {'has' if has else 'has no'} units for bf16"
    return PrecisionChoice("bf16" if has else "fp32", reason, {})


def faster(timer: Timer, budget_s: float) -> PrecisionChoice:
    """bf16 if it is clearly faster. Both are timed in turn, so that other programs hit them alike; the best counts.

    The first time of each is not counted: kernels are made then. Then until ``budget_s`` is over.
    """
    best = dict.fromkeys(DTYPES, float("inf"))
    for name in DTYPES:
        timer(name)
    deadline = time.perf_counter() + budget_s
    while True:
        for name in DTYPES:
            best[name] = min(best[name], timer(name))
        if time.perf_counter() > deadline:
            break
    chosen = "bf16" if best["bf16"] * FASTER < best["fp32"] else "fp32"
    times = " and ".join(f"{seconds * 1e3:,.1f} ms in {name}" for name, seconds in best.items())
    return PrecisionChoice(chosen, f"products as this model's take {times}, on one thread", best)


def product_timer(model: ModelSpec, tokens: int, device: torch.device) -> Timer:
    """Times the products of one layer and the output, each as forward and backward have them, rows scaled down.

    On one thread, and by the time that this thread was given: other programs change neither.
    """
    rows, shapes, experts = products_of(model, tokens)
    tensors = {}
    for name, dtype in DTYPES.items():
        random = [torch.randn(rows, inner, device=device).to(dtype) for inner, _ in shapes]
        weights = [torch.randn(outer, inner, device=device).to(dtype) for inner, outer in shapes]
        tensors[name] = list(zip(random, weights, strict=True))
    grouped = {name: _expert_tensors(rows, experts, device, dtype) for name, dtype in DTYPES.items()} if experts else {}

    def seconds(name: str) -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            start = time.thread_time()
            for x, weight in tensors[name]:
                y = x @ weight.t()
                _ = y @ weight, y.t() @ x
            if grouped:
                x, weights, ends = grouped[name]
                grouped_mm(grouped_mm(x, weights, ends), weights.transpose(1, 2), ends)
            return time.thread_time() - start
        finally:
            torch.set_num_threads(threads)

    return seconds


def products_of(model: ModelSpec, tokens: int) -> tuple[int, list[tuple[int, int]], tuple[int, int, int, int] | None]:
    """Rows, the (inner, outer) widths of the dense products, and (experts, choices, width, expert width).

    So many rows that a pass has about `PASS_FLOPS`, never more than there are tokens.
    """
    heads, kv = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    shapes = [(model.dim, heads), (model.dim, kv), (heads, model.dim), (model.dim, model.vocab_size)]
    if model.ffn_dim:
        shapes += [(model.dim, model.ffn_dim), (model.ffn_dim, model.dim)]
    shapes = [(min(inner, LARGEST), min(outer, LARGEST)) for inner, outer in shapes]
    moe = model.moe
    experts = (moe.n_experts, moe.top_k, min(model.dim, LARGEST), min(moe.expert_dim, LARGEST)) if moe else None
    flops_per_row = 6 * sum(inner * outer for inner, outer in shapes)
    if experts:
        flops_per_row += 4 * experts[1] * experts[2] * experts[3]
    return max(64, min(tokens, round(PASS_FLOPS / flops_per_row))), shapes, experts


def _expert_tensors(
    rows: int, experts: tuple[int, int, int, int], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Rows sorted by expert, a matrix each, and where each expert's rows end: as even as they come."""
    n_experts, choices, width, expert_width = experts
    n_experts = min(n_experts, 16)
    total = rows * choices
    ends = torch.arange(1, n_experts + 1, device=device) * total // n_experts
    x = torch.randn(total, width, device=device).to(dtype)
    weights = torch.randn(n_experts, width, expert_width, device=device).to(dtype)
    return x, weights, ends.to(torch.int32)
