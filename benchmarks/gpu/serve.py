"""The engine of `kolossos serve` on one GPU: are its bits a request's own, and how fast is it?

python benchmarks/gpu/serve.py [--requests 60] [--output FILE.json]

Exactness, as benchmarks/serve/exactness.py asks it of a processor: the same requests alone and cold (the reference),
warm, and in batches with prompts in pieces of 16, 160 and 1,024 tokens, in fp32 and bf16; printed is how many of the
tokens and log-probabilities differ. Speed: a mixture of Mixtral's kind in the 1B class with random weights in bf16,
`generate` of transformers beside it on the same card; the bound is what reading the weights once for each token costs.
"""

import argparse
import json
import platform
import queue
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "serve"))
import exactness  # pyright: ignore[reportMissingImports]

from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.serve.engine.build import EngineOptions, network_of, require_exact
from kolossos.serve.engine.loop import EngineLoop
from kolossos.serve.engine.request import Ended, Request, Sampling, Token
from kolossos.specs.catalogue import load_model
from kolossos.specs.model import ModelSpec

PIECES, BATCHES = (16, 160, 1024), (1, 8, 32, 128)
PROMPT, NEW, LONG = 128, 64, (512, 2048)
TRIES = 2


def differences(weights: str, count: int) -> list[dict]:
    """Of every way to be asked, the numbers that differ from those of a request alone and cold."""
    network = network_of(exactness.model().to("cuda"), EngineOptions(weights=weights, memory_bytes=2**29))  # type: ignore[arg-type]
    require_exact(network)
    asked, rows = exactness.requests(count), []
    alone: list[list[float]] = []
    for request in asked:
        engine = EngineLoop(network, tokens_a_pass=160)  # one of its own: nothing is found
        alone += exactness.answers(engine, [request])
        engine.close()
    for pieces in PIECES:
        engine = EngineLoop(network, tokens_a_pass=pieces, most_at_once=32)
        for name in ("cold", "warm"):
            wrong, of = exactness.differing(exactness.answers(engine, asked), alone)
            rows.append({"what": f"{weights}, batches, pieces of {pieces}, {name}", "differ": wrong, "of": of})
            print(rows[-1], flush=True)
        engine.close()
    return rows


def shape() -> ModelSpec:
    """grok-mini without what transformers' Mixtral lacks."""
    spec = load_model("grok-mini")
    assert spec.moe is not None
    plain = {"attn_softcap": None, "post_norm": False, "pre_norm": True, "activation": "silu", "tied_embeddings": False}
    gates = spec.moe.model_copy(update={"renormalize": True})
    scales = {"embedding_multiplier": 1.0, "output_multiplier": 1.0, "moe": gates, "max_seq_len": 4096}
    return spec.model_copy(update=plain | scales)


Answer = Callable[[list[list[int]], int], tuple[float, float]]
"""Prompts and how many tokens to write after each: seconds to the first token of all, and from there to the end."""


def ours(spec: ModelSpec) -> Answer:
    model = initialize(Decoder(spec), 1).eval()
    options = EngineOptions(weights="bf16", most_at_once=max(BATCHES))
    engine = EngineLoop(network_of(model, options), tokens_a_pass=1024, most_at_once=max(BATCHES))

    def answer(prompts: list[list[int]], new: int) -> tuple[float, float]:
        heard: queue.Queue = queue.Queue()
        start = time.perf_counter()
        for row, prompt in enumerate(prompts):
            request = Request(tuple(prompt), new, Sampling(temperature=0))
            engine.submit(request, lambda event, row=row: heard.put((time.perf_counter(), row, event)))
        first: dict[int, float] = {}
        left, ended = len(prompts), start
        while left:
            at, row, event = heard.get()
            if isinstance(event, Token):
                first.setdefault(row, at)
            elif isinstance(event, Ended):
                if event.reason == "failed":
                    raise RuntimeError(event.message)
                left, ended = left - 1, at
        begun = max(first.values())
        return begun - start, ended - begun

    return answer


def transformers(spec: ModelSpec, cache: str | None) -> Answer:
    from transformers import MixtralConfig, MixtralForCausalLM

    assert spec.moe is not None
    config = MixtralConfig(
        hidden_size=spec.dim,
        num_hidden_layers=spec.n_layers,
        num_attention_heads=spec.n_heads,
        num_key_value_heads=spec.n_kv_heads,
        head_dim=spec.head_dim,
        vocab_size=spec.vocab_size,
        intermediate_size=spec.moe.expert_dim,
        num_local_experts=spec.moe.n_experts,
        num_experts_per_tok=spec.moe.top_k,
        max_position_embeddings=spec.max_seq_len,
        eos_token_id=None,
        pad_token_id=0,
    )
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = MixtralForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)

    def answer(prompts: list[list[int]], new: int) -> tuple[float, float]:
        tokens = torch.tensor(prompts, device="cuda")
        ones, times = torch.ones_like(tokens), []
        for many in (1, new):
            torch.cuda.synchronize()
            start = time.perf_counter()
            model.generate(  # type: ignore[operator]
                tokens, attention_mask=ones, do_sample=False, max_new_tokens=many, cache_implementation=cache
            )
            torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return times[0], times[1] - times[0]

    return answer


def speed(answer: Answer, spec: ModelSpec) -> dict:
    """Tokens/s after the first token, and seconds to the first token of long prompts."""
    random = np.random.default_rng(0)

    def prompts(number: int, length: int) -> list[list[int]]:
        return random.integers(0, spec.vocab_size, (number, length)).tolist()

    begin = time.perf_counter()
    answer(prompts(1, 16), 2)
    row: dict = {"ready_s": time.perf_counter() - begin, "tokens_per_s": {}, "first_token_s": {}}
    for batch in BATCHES:
        tries = [answer(prompts(batch, PROMPT), NEW)[1] for _ in range(TRIES)]
        row["tokens_per_s"][batch] = batch * (NEW - 1) / min(tries)
    for length in LONG:
        row["first_token_s"][length] = min(answer(prompts(1, length), 2)[0] for _ in range(TRIES))
    row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--peers", default="transformers")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here")
    spec = shape()
    record = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "card": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "rows": [],
        "speed": {},
    }

    def kept() -> None:
        if options.output:
            options.output.write_text(json.dumps(record, indent=1) + "\n")

    if options.requests:
        for weights in ("bf16", "fp32"):
            record["rows"] += differences(weights, options.requests)
            kept()
    makers = {"kolossos": lambda: ours(spec), "transformers": lambda: transformers(spec, None)}
    makers["transformers static"] = lambda: transformers(spec, "static")
    for name in ["kolossos", *filter(None, options.peers.split(","))]:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            record["speed"][name] = speed(makers[name](), spec)
        except Exception as error:  # the others are worth having
            record["speed"][name] = {"failed": f"{type(error).__name__}: {error}"[:1500]}
        print(name, record["speed"][name], flush=True)
        kept()


if __name__ == "__main__":
    main()
