"""A training step on one GPU: tokens/s, MFU, memory, and the kernels that it goes to.

python benchmarks/gpu_step.py                 # grok-mini (1B class, 8 experts), AdamW and Muon, documents masked
python benchmarks/gpu_step.py --json > out    # for benchmarks/results/
"""

import argparse
import json
import platform
import sys
import time
from datetime import UTC, datetime

import torch
from torch.profiler import ProfilerActivity, profile

from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.specs.catalogue import load_gpu, load_model, names
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.run import LossSpec, OptimizerSpec
from kolossos.train.compiling import compile_training
from kolossos.train.optimizer import Optimizer
from kolossos.train.step import MicroBatch, train_step

MEAN_DOCUMENT = 700  # tokens
WARM_UP, TIMED = 4, 8
KERNELS_SHOWN = 20


class Steps:
    """Training steps of one model on random tokens."""

    def __init__(self, model: str, batch: int, length: int, optimizer: str):
        self.spec, self.batch, self.length = load_model(model), batch, length
        self.device = torch.device("cuda")
        with torch.device("meta"):
            decoder = Decoder(self.spec)
        self.model = initialize(decoder.to_empty(device=self.device), 1).train()
        compile_training(self.model, "on", self.device)
        self.optimizer = Optimizer(self.model, OptimizerSpec(name=optimizer, lr=1e-3), products=torch.bfloat16)  # type: ignore[arg-type]
        self.random = torch.Generator().manual_seed(0)

    def step(self) -> tuple[float, float]:
        """Seconds and loss of one step."""
        shape = (self.batch, self.length)
        ids = torch.randint(0, self.spec.vocab_size, (self.batch, self.length + 1), generator=self.random)
        borders = torch.rand(shape, generator=self.random) < 1 / MEAN_DOCUMENT
        tokens, targets, documents = (
            x.contiguous().to(self.device) for x in (ids[:, :-1], ids[:, 1:], borders.cumsum(1).int())
        )
        torch.cuda.synchronize()
        start = time.perf_counter()
        result = train_step(
            self.model,
            self.optimizer,
            [MicroBatch(tokens, targets, documents)],
            n_targets=self.batch * self.length,
            losses=LossSpec(),
            dtype=torch.bfloat16,
            lr_factor=1.0,
            skip_if_not_finite=True,
        )
        loss = result.loss.item()
        torch.cuda.synchronize()
        return time.perf_counter() - start, loss


def measure(model: str, batch: int, length: int, optimizer: str) -> dict:
    """One row of figures."""
    torch._dynamo.reset()
    torch.cuda.reset_peak_memory_stats()
    steps = Steps(model, batch, length, optimizer)
    first, first_loss = steps.step()
    times = sorted([steps.step()[0] for _ in range(WARM_UP + TIMED)][WARM_UP:])
    step_s = times[len(times) // 2]
    tokens_per_s = batch * length / step_s
    row = {
        "model": model,
        "sequences": batch,
        "seq_len": length,
        "optimizer": optimizer,
        "first_step_s": first,
        "step_s": step_s,
        "tokens_per_s": tokens_per_s,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        "losses": [first_loss, steps.step()[1]],
    }
    peak = bf16_peak()
    if peak:
        row["mfu"] = tokens_per_s * training_flops_per_token(steps.spec, length) / peak
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        steps.step()
    kernels = sorted(profiled.key_averages(), key=lambda event: -event.device_time_total)
    row["kernels_ms"] = {k.key[:80]: [k.device_time_total / 1e3, k.count] for k in kernels[:KERNELS_SHOWN]}
    return row


def bf16_peak() -> float | None:
    """FLOP/s on the data sheet of this card, where the catalogue has it."""
    words = torch.cuda.get_device_name().lower().split()
    found = [name for name in names("gpus") if name in words]
    return load_gpu(found[0]).peak("bf16") if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="grok-mini")
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--seq-len", type=int, default=2048)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here")
    rows = [measure(options.model, options.sequences, options.seq_len, name) for name in ("adamw", "muon")]
    machine = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "python": platform.python_version()}
    if options.json:
        print(json.dumps({"date": f"{datetime.now(UTC):%Y-%m-%d}", **machine, "rows": rows}, indent=1))
        return
    print(machine)
    for row in rows:
        kernels = row.pop("kernels_ms")
        print(row)
        for name, (milliseconds, count) in kernels.items():
            print(f"{milliseconds:9.2f} ms {count:5d} x  {name}")


if __name__ == "__main__":
    main()
