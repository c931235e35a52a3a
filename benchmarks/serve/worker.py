"""Runs one contestant on one model in this process and prints one line of JSON; `speed.py` starts it.

The peers' environments run this file too, so it imports nothing but the contest before the engine it is told.
"""

import argparse
import contextlib
import importlib
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Protocol

from clock import Clock, memory_mib, stay_on
from contest import (
    BATCHES,
    CACHED_TOKENS,
    CONTESTANTS,
    LONG_PROMPT_TOKENS,
    NEXT_TURN_TOKENS,
    PROMPT_TOKENS,
    SHAPES,
    Shape,
    prompts,
)

MODULES = {
    "kolossos": "kolossos_engine",
    "transformers": "transformers_engine",
    "llama.cpp": "llama_engine",
    "vllm": "vllm_engine",
}
FIRST_TOKEN_TRIES = 3
ENOUGH_S, MOST_TRIES = 3.0, 5


class Running(Protocol):
    """An engine with a model loaded."""

    version: str

    def answer(self, prompts: list[list[int]], new: int, clock: Clock) -> None:
        """Write ``new`` tokens after every prompt, the likeliest each, all at once; tell ``clock`` of each."""
        ...


class Purposes:
    """No two answers are given the same prompts."""

    def __init__(self) -> None:
        self.n = 100

    def prompts(self, shape: Shape, number: int, length: int) -> list[list[int]]:
        self.n += 1
        return prompts(shape, number, length, self.n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contestant", choices=CONTESTANTS, required=True)
    parser.add_argument("--model", choices=SHAPES, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="the models' folders, as models.py makes them")
    parser.add_argument("--new", type=int, default=48, help="tokens to write after each prompt")
    parser.add_argument("--core", type=int, required=True)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    stay_on(given.core)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            record = measure(given.contestant, given.model, given.folder, given.new)
    except ModuleNotFoundError as missing:
        record = {"skipped": f"{missing.name} is not installed"}
    print("\n" + json.dumps(record), flush=True)
    os._exit(0)  # engines leave threads and children behind; nothing of theirs is worth waiting for


def measure(contestant: str, model: str, folder: Path, new: int) -> dict:
    chosen, shape = CONTESTANTS[contestant], SHAPES[model]
    module = importlib.import_module(MODULES[chosen.engine])
    start = time.process_time()
    engine: Running = module.start(folder / model, chosen.setting)
    record = {"version": engine.version, "load_cpu_s": time.process_time() - start}
    purposes = Purposes()
    witness = answer(engine, prompts(shape, 1, PROMPT_TOKENS, purpose=1), new)  # warms up, too
    record["witness"] = witness.tokens[0]
    record["first_token_cpu_s"] = first_token(engine, shape, purposes)
    record["tokens_per_cpu_s"] = {str(batch): decode(engine, shape, batch, new, purposes) for batch in BATCHES}
    record |= memory_mib()
    if chosen.engine == "kolossos":
        record |= second_turn(engine, shape, purposes)
    return record


def answer(engine: Running, given: list[list[int]], new: int) -> Clock:
    clock = Clock(len(given))
    engine.answer(given, new, clock)
    short = [len(tokens) for tokens in clock.tokens if len(tokens) != new]
    if short:
        raise RuntimeError(f"{new} tokens were asked for, and answers of {short} came")
    return clock


def first_token(engine: Running, shape: Shape, purposes: Purposes) -> float:
    tries = [purposes.prompts(shape, 1, LONG_PROMPT_TOKENS) for _ in range(FIRST_TOKEN_TRIES + 1)]
    return statistics.median([answer(engine, given, 2).first() for given in tries][1:])


def decode(engine: Running, shape: Shape, batch: int, new: int, purposes: Purposes) -> float:
    """The median of as many tries as fit into a few seconds."""
    rates: list[float] = []
    start = time.process_time()
    while not rates or (time.process_time() - start < ENOUGH_S and len(rates) < MOST_TRIES):
        rates.append(answer(engine, purposes.prompts(shape, batch, PROMPT_TOKENS), new).rate())
    return statistics.median(rates)


def second_turn(engine: Running, shape: Shape, purposes: Purposes) -> dict:
    """CPU seconds to the first token of a prompt of 2,000 tokens, its answer and a next turn: not known, and known."""
    (cached,) = purposes.prompts(shape, 1, CACHED_TOKENS)
    (next_turn,) = purposes.prompts(shape, 1, NEXT_TURN_TOKENS)
    turn = answer(engine, [cached], 16)
    known = [*cached, *turn.tokens[0], *next_turn]
    warm = answer(engine, [known], 2).first()
    cold = answer(engine, purposes.prompts(shape, 1, len(known)), 2).first()
    return {"second_turn_cpu_s": warm, "cold_turn_cpu_s": cold}


if __name__ == "__main__":
    main()
