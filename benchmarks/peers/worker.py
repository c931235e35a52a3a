"""Runs one row in this process and prints one line of JSON: `python -m peers.worker --contestant plain ...`.

Nothing here imports torch: a contestant may want to set the environment before torch reads it.
"""

import argparse
import contextlib
import importlib
import json
import os
import sys

from .contest import SHAPES, token_batches, tokens_per_step
from .rows import CONTESTANTS, MODELS, PRECISIONS, Row
from .stopwatch import Stopwatch

MODULES = {
    "kolossos": "kolossos_trainer",
    "plain": "plain_loop",
    "hf-trainer": "hf_trainer",
    "litgpt": "litgpt_fabric",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contestant", choices=CONTESTANTS, required=True)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--experts", choices=("", "loop", "grouped"), default="")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    row = Row(given.contestant, given.model, given.precision, given.compile, given.experts)
    shape = SHAPES[given.model]
    batches = token_batches(shape, given.warmup + given.steps)
    stopwatch = Stopwatch(given.warmup)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            contestant = importlib.import_module(f".{MODULES[row.contestant]}", __package__)
            run = contestant.train(row, shape, batches, stopwatch)
    except ModuleNotFoundError as missing:
        print(json.dumps({"skipped": f"{missing.name} is not installed"}))
        return
    print(json.dumps({**run, **stopwatch.measurement(tokens_per_step(shape))}))


if __name__ == "__main__":
    main()
