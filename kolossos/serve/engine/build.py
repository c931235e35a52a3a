"""An engine for the model in a folder: memory for keys and values, threads, and a check that it is exact here."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from kolossos.data.tokenizer import Tokenizer
from kolossos.errors import InputError
from kolossos.model.attention.flex import NARROWEST
from kolossos.model.decoder import Decoder
from kolossos.serve.engine.batch import PAGE, Batch, Network, Part
from kolossos.serve.engine.loop import EngineLoop
from kolossos.serve.engine.native.decoder import NativeDecoder
from kolossos.serve.engine.native.library import NoCompiler
from kolossos.serve.engine.options import EngineOptions
from kolossos.serve.engine.tiled import TiledDecoder
from kolossos.serve.load import load_weights
from kolossos.specs.model import ModelSpec

SHARE_OF_MEMORY = {"cpu": 0.125, "cuda": 2 / 3}
"""Of what is available, for keys and values where nothing else is said; a GPU is the server's alone."""
TOKENS_A_PASS = {"cpu": 160, "cuda": 1024}
TIMED_PASSES = 6


def build_engine(
    path: Path | str,
    options: EngineOptions | None = None,
    step: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[EngineLoop, Tokenizer]:
    """The engine and the tokenizer of a run folder or a Hugging Face one; ``say`` hears what takes long.

    Raises:
        InputError: nothing to load there, or options that this machine cannot keep.
    """
    options = options or EngineOptions()
    model, tokenizer = load_weights(Path(path), step, say)
    return engine_of(model, options, say), tokenizer


def engine_of(model: Decoder, options: EngineOptions, say: Callable[[str], None] = lambda _: None) -> EngineLoop:
    """An engine that takes the weights out of ``model``."""
    network = network_of(model, options, say)
    require_exact(network)
    return EngineLoop(
        network,
        tokens_a_pass=options.tokens_a_pass or TOKENS_A_PASS["cuda" if on_gpu(model.spec, options) else "cpu"],
        most_at_once=options.most_at_once,
        most_waiting=options.most_waiting,
    )


def network_of(model: Decoder, options: EngineOptions, say: Callable[[str], None] = lambda _: None) -> Network:
    """The fastest network that there is here for ``model``, with its pages."""
    if on_gpu(model.spec, options):
        model = model.to("cuda", torch.bfloat16 if options.weights == "bf16" else torch.float32)
    context, pages = _room(model, options, say)
    model.spec = model.spec.model_copy(update={"max_seq_len": context})
    if on_gpu(model.spec, options):
        say("the passes of this model are compiled for the GPU")
        return TiledDecoder(model, pages)
    try:
        network = NativeDecoder(model, pages, weights=options.weights, threads=options.threads or 1, say=say)
    except NoCompiler as reason:
        if options.weights != "fp32":
            raise InputError(f"{options.weights} weights need the compiled kernels: {reason}") from None
        say(f"{reason}: the slower kernels of torch are used")
        return TiledDecoder(model, pages)
    if options.threads is None:
        network.use_threads(fastest_threads(network))
    return network


def on_gpu(spec: ModelSpec, options: EngineOptions) -> bool:
    """Whether a network of these options runs on CUDA; int8 is the processor's, and so are heads too narrow."""
    return torch.cuda.is_available() and options.weights != "int8" and spec.head_dim >= NARROWEST


def _room(model: Decoder, options: EngineOptions, say: Callable[[str], None]) -> tuple[int, int]:
    """Context and pages, where ``model`` lies."""
    spec, weight = model.spec, model.embedding.weight
    if options.context is not None and options.context > spec.max_seq_len:
        raise InputError(f"context {options.context}: the model was made for {spec.max_seq_len} tokens")
    wide = weight.element_size() if weight.is_cuda else 4
    a_page = 2 * wide * PAGE * spec.n_layers * spec.n_kv_heads * spec.head_dim
    budget = options.memory_bytes or int(_available_bytes(weight.device) * SHARE_OF_MEMORY[weight.device.type])
    context = options.context or spec.max_seq_len
    most = budget // a_page
    if most * PAGE < context:
        if options.context is not None or most < 1:
            needed = -(-context // PAGE) * a_page / 2**20
            raise InputError(
                f"keys and values of {context} tokens need {needed:,.0f} MiB and there are {budget / 2**20:,.0f}"
            )
        context = most * PAGE
        say(f"the context is cut to {context:,} tokens: there is no memory for the keys and values of more")
    return context, min(most, options.most_at_once * -(-context // PAGE))


def _available_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def fastest_threads(network: NativeDecoder) -> int:
    """How many threads answer one request fastest, by trying; a second one may cost more than it brings."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    batch = Batch.of([Part([0], 0, [0], [0])])
    took = {}
    for threads in {1, *(2**n for n in range(1, cores.bit_length())), cores}:
        if threads > cores:
            continue
        network.use_threads(threads)
        network.forward(batch)
        times = []
        for _ in range(TIMED_PASSES):
            begin = time.perf_counter()
            network.forward(batch)
            times.append(time.perf_counter() - begin)
        took[threads] = min(times)
    return min(took, key=lambda threads: took[threads])


def require_exact(network: Network) -> None:
    """InputError if a row's bits depend on its company, or on the pieces in which its prompt came, on this machine."""
    length = min(2 * PAGE + 5, network.context, network.pages // 2 * PAGE)
    if length < 2:
        return
    ids = (np.arange(length) * 7919 % network.vocab_size).tolist()
    half = -(-length // PAGE)
    alone, _ = network.forward(Batch.of([Part(ids, 0, range(half), range(length))]))
    other = list(range(half, 2 * half))
    rows, cut = [], length // 3
    for start, end in ((0, cut), (cut, length - 1), (length - 1, length)):
        company = Part(ids[: start + 1], 0, range(half), [start])
        made, _ = network.forward(Batch.of([company, Part(ids[start:end], start, other, range(end - start))]))
        rows.append(made[1:])
    pieces = np.concatenate(rows)
    network.forget(range(2 * half))
    if not np.array_equal(alone, pieces, equal_nan=True):
        raise InputError(
            f"{network.kind}: on this machine a token's probabilities depend on the other requests of a batch "
            f"({int((alone != pieces).sum())} of {alone.size} numbers): the engine does not answer so"
        )
