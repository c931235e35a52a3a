"""Whether an answer's bits depend on anything but its request: company, cache, pieces of prompts, threads, a restart.

    python benchmarks/serve/exactness.py [--requests 200] [--output FILE.json]

A mixture of Grok-2's kind with random weights answers the same requests alone and cold, one after the other (the
reference), then in processes of their own: alone and warm, in batches cold and warm, with prompts in pieces of 16, 64
and 160 tokens, on one and two threads, in fp32, bf16 and int8. Printed is how many of the log-probabilities (fp64, bit
for bit) and tokens differ from the reference: 0 of all. The last table says what a batch of 8 costs beside
`kolossos.serve.generate`, which promises no such thing, on the same weights.
"""

import json
import os
import queue
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

SEED, CONTEXT, VOCAB, NEW = 5, 512, 4096, 12
PIECES, THREADS, WEIGHTS = (16, 64, 160), (1, 2), ("fp32", "bf16", "int8")
BATCH = 8


def model():
    from kolossos.model.decoder import Decoder
    from kolossos.model.init import initialize
    from kolossos.specs.model import ModelSpec, MoESpec

    spec = ModelSpec(
        name="exactness",
        n_layers=4,
        dim=256,
        n_heads=8,
        n_kv_heads=4,
        head_dim=32,
        vocab_size=VOCAB,
        max_seq_len=CONTEXT,
        ffn_dim=256,
        moe=MoESpec(n_experts=8, top_k=2, expert_dim=256, router_softcap=30.0),
        branch_scale=2**-0.5,
        activation="gelu_tanh",
        post_norm=True,
        attn_softcap=30.0,
        output_softcap=50.0,
    )
    return initialize(Decoder(spec), SEED).eval()


def requests(count: int) -> list:
    """Prompts of 1 to 300 tokens, half of them with one of four beginnings in common; greedy and drawn."""
    from kolossos.serve.engine.request import Request, Sampling

    rng = np.random.default_rng(SEED)
    beginnings = rng.integers(0, VOCAB, (4, 200))
    made = []
    for number in range(count):
        own = rng.integers(0, VOCAB, int(rng.integers(1, 300)))
        prompt = own if number % 2 else np.concatenate((beginnings[number // 2 % 4], own[:50]))
        sampling = Sampling(temperature=float(number % 3 > 0), seed=number)
        scored = 1 if number % 5 == 1 else None
        made.append(Request(tuple(prompt.tolist()), NEW, sampling, logprobs=5, prompt_logprobs=scored))
    return made


def numbers(events: list) -> list[float]:
    """Every token and log-probability that was told."""
    from kolossos.serve.engine.request import Started, Token

    scored = [s for e in events if isinstance(e, Started) for s in e.prompt or () if s]
    scored += [e.scored for e in events if isinstance(e, Token) and e.scored]
    return [value for s in scored for value in (s.token, s.logprob, *(v for pair in s.top for v in pair))]


def answers(engine, asked: list) -> list[list[float]]:
    from kolossos.serve.engine.request import Ended

    heard: queue.Queue = queue.Queue()
    events: list[list] = [[] for _ in asked]
    for index, request in enumerate(asked):
        engine.submit(request, lambda event, index=index: heard.put((index, event)))
    left = len(asked)
    while left:
        index, event = heard.get()
        events[index].append(event)
        left -= isinstance(event, Ended)
    return [numbers(found) for found in events]


def work(count: int, weights: str, threads: int, pieces: int, company: str) -> dict[str, list[list[float]]]:
    """In a process of its own: the answers cold and warm."""
    from kolossos.serve.engine.build import EngineOptions, network_of
    from kolossos.serve.engine.loop import EngineLoop

    options = EngineOptions(weights=weights, threads=threads, memory_bytes=2**29)  # type: ignore[arg-type]
    network, asked = network_of(model(), options), requests(count)
    made: dict[str, list[list[float]]] = {}
    if company == "alone":
        made["cold"] = []
        for request in asked:
            engine = EngineLoop(network, tokens_a_pass=pieces)  # one of its own: nothing is found
            made["cold"] += answers(engine, [request])
            engine.close()
        engine = EngineLoop(network, tokens_a_pass=pieces)
        for name in ("first", "warm"):
            made[name] = [answer for request in asked for answer in answers(engine, [request])]
    else:
        engine = EngineLoop(network, tokens_a_pass=pieces, most_at_once=32)
        for name in ("cold", "warm"):
            made[name] = answers(engine, asked)
        assert engine.status().cached_tokens > 0
    engine.close()
    return made


def in_a_process(*words: object) -> dict[str, list[list[float]]]:
    command = [sys.executable, __file__, "--worker", json.dumps(words)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def differing(these: list[list[float]], those: list[list[float]]) -> tuple[int, int]:
    """Numbers that differ, and all; an answer of another length differs in all its numbers."""
    wrong = sum(
        len(b) if len(a) != len(b) else int((np.array(a).view(np.int64) != np.array(b).view(np.int64)).sum())
        for a, b in zip(these, those, strict=True)
    )
    return wrong, sum(map(len, those))


def cost_of_a_batch() -> dict[str, float]:
    """New tokens a CPU second at a batch of 8 on one thread: the engine's, and those of generate()."""
    import torch

    from kolossos.serve.cache import KeyValueCache
    from kolossos.serve.engine.batch import Batch, Part
    from kolossos.serve.engine.build import EngineOptions, network_of

    torch.set_num_threads(1)
    rng, prompt = np.random.default_rng(SEED), 64
    ids = rng.integers(0, VOCAB, (BATCH, prompt))
    decoder, rates = model(), {}
    with torch.inference_mode():
        cache = KeyValueCache(decoder, BATCH, prompt + 64)
        positions = torch.arange(prompt).expand(BATCH, -1)
        decoder(torch.tensor(ids), positions_BS=positions, allowed_BST=cache.allowed(positions), caches=cache.layers)
        begin = time.process_time()
        for step in range(64):
            at = torch.full((BATCH, 1), prompt + step)
            last = torch.tensor(ids[:, step : step + 1])
            hidden, _ = decoder(last, positions_BS=at, allowed_BST=cache.allowed(at), caches=cache.layers)
            decoder.logits(hidden)
        rates["generate"] = BATCH * 64 / (time.process_time() - begin)
    for weights in WEIGHTS:
        network = network_of(model(), EngineOptions(weights=weights, threads=1, memory_bytes=2**28))  # type: ignore[arg-type]
        pages = np.arange(BATCH * 8).reshape(BATCH, 8)
        network.forward(Batch.of([Part(ids[row].tolist(), 0, pages[row]) for row in range(BATCH)]))
        begin = time.process_time()
        for step in range(64):
            parts = [Part([int(ids[row, step])], prompt + step, pages[row], [0]) for row in range(BATCH)]
            network.forward(Batch.of(parts))
        rates[f"engine {weights}"] = BATCH * 64 / (time.process_time() - begin)
    return rates


def main(
    count: Annotated[int, typer.Option("--requests")] = 200,
    output: Annotated[Path | None, typer.Option(help="JSON file for the table")] = None,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Compare, print, and exit with 1 if anything differs."""
    if worker is not None:
        print(json.dumps(work(*json.loads(worker))))
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows, wrong_in_all = [], 0
    for weights in WEIGHTS:
        alone = in_a_process(count, weights, 1, PIECES[-1], "alone")
        for name in ("first", "warm"):
            rows.append((f"{weights}, 1 thread, alone, {name}", *differing(alone[name], alone["cold"])))
        for threads in THREADS:
            for pieces in PIECES:
                made = in_a_process(count, weights, threads, pieces, "batch")
                for name in ("cold", "warm"):
                    what = f"{weights}, {threads} thread{'s' * (threads > 1)}, batches, pieces of {pieces}, {name}"
                    rows.append((what, *differing(made[name], alone["cold"])))
        for what, wrong, all_ in rows[-2 - 2 * len(THREADS) * len(PIECES) :]:
            print(f"{what:<60} {wrong} of {all_:,} numbers differ", flush=True)
            wrong_in_all += wrong
    rates = cost_of_a_batch()
    for name, rate in rates.items():
        print(f"{name:<16} {rate:8,.0f} new tokens a CPU second at a batch of {BATCH}")
    if output is not None:
        table = [{"what": what, "differ": wrong, "of": all_} for what, wrong, all_ in rows]
        output.write_text(json.dumps({"requests": count, "rows": table, "tokens_per_cpu_s": rates}, indent=1) + "\n")
    raise typer.Exit(code=int(wrong_in_all > 0))


if __name__ == "__main__":
    typer.run(main)
