"""Tokens a second of two ranks against one, one thread each, and that they learn the same.

    python benchmarks/parallel/scaling.py [--rounds 3] [--steps 16] [--out FILE.json]

`kolossos train` on the same run file, alone and under torchrun with layout.dp_replicate = 2, turn and turn about. The
seconds of a step are what the run wrote down, without the first four. Losses are compared relative to each other.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from kolossos.runs.environment import processor_name

MODELS = {"dense": "tiny-dense", "moe": "grok-nano"}
WARM = 4
RUN = """
name = "scaling"
seed = 1
model = {{ spec = "{model}", vocab_size = 1024 }}
data = {{ path = "{data}" }}
layout = {{ micro_batch_size = 8, global_batch_size = 32, seq_len = 256, precision = "fp32", sharding = "optimizer" }}
optimizer = {{ name = "adamw", lr = 0.001 }}
schedule = {{ steps = {steps}, warmup_steps = 4 }}
checkpoint = {{ every = 0 }}
evaluate = {{ every = 0, batches = 1 }}
compute = {{ threads = 1 }}
"""


def prepare(folder: Path) -> Path:
    """A small text: Python's own email package."""
    import email

    data = folder / "data"
    options = ["--vocab-size", "1024", "--val-fraction", "0.01", "--out", str(data)]
    subprocess.run(
        [sys.executable, "-m", "kolossos", "data", "prepare", email.__path__[0], *options],
        check=True,
        capture_output=True,
    )
    return data


def train(run: Path, folder: Path, ranks: int) -> list[dict[str, Any]]:
    """The records of every step."""
    start = [sys.executable, "-m"]
    if ranks > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m"]
    command = [*start, "kolossos", "train", str(run), "--folder", str(folder), "--fresh"]
    command += ["--set", f"layout.dp_replicate={ranks}"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(done.stderr)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == "train"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {"date": str(date.today()), "processor": processor_name(), "models": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = prepare(folder)
        for kind, model in MODELS.items():
            run = folder / f"{kind}.toml"
            run.write_text(RUN.format(model=model, data=data, steps=options.steps))
            ratios, curves = [], {}
            for _ in range(options.rounds):
                seconds = {}
                for ranks in (1, 2):
                    curves[ranks] = train(run, folder / f"{kind}-{ranks}", ranks)
                    seconds[ranks] = statistics.median(step["step_s"] for step in curves[ranks][WARM:])
                ratios.append(seconds[1] / seconds[2])
                print(f"{kind}: {seconds[1]:.3f} s and {seconds[2]:.3f} s a step: {ratios[-1]:.2f} times", flush=True)
            losses = [(one["loss"], two["loss"]) for one, two in zip(curves[1], curves[2], strict=True)]
            differs = [abs(two / one - 1) for one, two in losses]
            found["models"][kind] = {
                "model": model,
                "ratios": ratios,
                "median_ratio": statistics.median(ratios),
                "largest_difference_of_loss": max(differs),
                "of_the_first_two_steps": max(differs[:2]),
            }
            print(json.dumps(found["models"][kind]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
