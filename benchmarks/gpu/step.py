"""A training step on one GPU: tokens/s, MFU, memory, how long kernels run in it, and which.

python benchmarks/gpu/step.py [--torchtitan CHECKOUT] [--rows NAME,NAME] [--output FILE.json]

A mixture of the 1B class (grok-mini) in bf16, compiled, on random tokens in documents of 700: as it is, with the
wrappers of several ranks (FSDP2 around layers and experts, the exchange of expert parallelism) on one, and
without what only Grok has (soft cap, norms behind branches), which torchtitan trains too: its Qwen3 with experts of the
same shape, its own step (autocast, compiled, fused AdamW, clipped gradients), from a checkout of v0.2.2.
"""

import argparse
import gc
import json
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from kolossos.model.decoder import Decoder
from kolossos.model.init import initialize
from kolossos.parallel.experts import to_their_ranks
from kolossos.parallel.fsdp import shard_parameters
from kolossos.parallel.mesh import all_meshes
from kolossos.specs.catalogue import load_gpu, load_model, names
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec
from kolossos.specs.run import LossSpec, OptimizerSpec
from kolossos.train.compiling import compile_training
from kolossos.train.optimizer import Optimizer
from kolossos.train.step import MicroBatch, train_step

MEAN_DOCUMENT = 700  # tokens
WARM_UP, TIMED = 4, 8
KERNELS_SHOWN = 20
DEVICE = torch.device("cuda")
SEQUENCES, LENGTH = 8, 2048

Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""Tokens, targets and documents [B, S] to the loss; one update."""


def spec_of(kind: str) -> ModelSpec:
    """grok-mini, or the same shape without what only Grok has."""
    spec = load_model("grok-mini")
    if kind == "grok":
        return spec
    return spec.model_copy(update={"attn_softcap": None, "post_norm": False, "pre_norm": True, "activation": "silu"})


def ours(kind: str = "grok", optimizer: str = "adamw", wrapped: bool = False) -> Step:
    """Kolossos' step."""
    with torch.device("meta"):
        decoder = Decoder(spec_of(kind))
    if wrapped:
        _wrap(decoder)
    model = initialize(decoder.to_empty(device=DEVICE), 1).train()
    compile_training(model, "on", DEVICE)
    optimiser = Optimizer(model, OptimizerSpec(name=optimizer, lr=1e-3), products=torch.bfloat16)  # type: ignore[arg-type]

    def step(tokens: torch.Tensor, targets: torch.Tensor, documents: torch.Tensor | None) -> torch.Tensor:
        result = train_step(
            model,
            optimiser,
            [MicroBatch(tokens, targets, documents)],
            n_targets=tokens.numel(),
            losses=LossSpec(),
            dtype=torch.bfloat16,
            lr_factor=1.0,
            skip_if_not_finite=True,
        )
        return result.loss

    return step


def _wrap(decoder: Decoder) -> None:
    """What a layout of several ranks puts around a model, on one rank."""
    import torch.distributed as dist

    if not dist.is_initialized():
        store = dist.HashStore()
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if DEVICE.type == "cuda" else "gloo", store=store, rank=0, world_size=1
        )
    layout = Layout(micro_batch_size=SEQUENCES, global_batch_size=SEQUENCES, seq_len=LENGTH)
    meshes = all_meshes(layout, DEVICE.type)
    for layer in decoder.layers:
        exchange = partial(to_their_ranks, group=meshes.experts["ep"].get_group())
        layer.moe.exchange = torch.compiler.disable(exchange)  # type: ignore[union-attr, assignment]
    # as if experts had ranks of their own: then they are wrapped apart
    shard_parameters(decoder, layout.model_copy(update={"ep": 2}), meshes)


def torchtitan(checkout: Path, attention: str) -> Step:
    """torchtitan's step of one GPU at the same shape, whole sequences (sdpa) or documents (flex)."""
    sys.path.insert(0, str(checkout))
    from torchtitan.components.loss import cross_entropy_loss  # pyright: ignore[reportMissingImports]
    from torchtitan.config.job_config import Compile  # pyright: ignore[reportMissingImports]
    from torchtitan.models.llama4.infra.parallelize import apply_compile  # pyright: ignore[reportMissingImports]
    from torchtitan.models.moe import MoEArgs  # pyright: ignore[reportMissingImports]
    from torchtitan.models.qwen3.model.args import Qwen3ModelArgs  # pyright: ignore[reportMissingImports]
    from torchtitan.models.qwen3.model.model import Qwen3Model  # pyright: ignore[reportMissingImports]

    arguments = _titan_arguments(Qwen3ModelArgs, MoEArgs, attention)
    with DEVICE, torch.no_grad():
        model = Qwen3Model(arguments)
        model.init_weights(buffer_device=DEVICE)
    apply_compile(model, Compile(enable=True), ep_enabled=False)
    loss_of = torch.compile(cross_entropy_loss)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    class Ends:
        eos_id = arguments.eos_id

    def step(tokens: torch.Tensor, targets: torch.Tensor, documents: torch.Tensor | None) -> torch.Tensor:
        optimizer.zero_grad()
        masks = None
        if attention == "flex":
            assert documents is not None
            begins = torch.zeros_like(tokens, dtype=torch.bool)
            begins[:, :-1] = documents[:, 1:] != documents[:, :-1]
            masks = model.get_attention_masks(torch.where(begins, arguments.eos_id, tokens.clamp(min=1)), Ends())  # type: ignore[arg-type]
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(tokens, attention_masks=masks)
            loss = loss_of(logits, targets) / targets.numel()
        del logits
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        return loss.detach()

    return step


def _titan_arguments(arguments: Any, experts: Any, attention: str) -> Any:
    """grok-mini's shape in torchtitan's words."""
    spec = spec_of("plain")
    assert spec.moe is not None
    return arguments(
        dim=spec.dim,
        n_layers=spec.n_layers,
        n_heads=spec.n_heads,
        n_kv_heads=spec.n_kv_heads,
        vocab_size=spec.vocab_size,
        head_dim=spec.head_dim,
        qk_norm=False,
        max_seq_len=LENGTH,
        attn_type=attention,
        attn_mask_type="block_causal" if attention == "flex" else "causal",
        eos_id=0,
        enable_weight_tying=True,
        moe_enabled=True,
        moe_inter_dim=spec.moe.expert_dim,
        moe_args=experts(
            num_experts=spec.moe.n_experts,
            num_shared_experts=0,
            score_func="softmax",
            top_k=spec.moe.top_k,
            load_balance_coeff=None,
        ),
    )


def measure(make: Callable[[], Step], documents: bool) -> dict[str, Any]:
    """One row of figures."""
    torch._dynamo.reset()
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step, random, losses = make(), torch.Generator().manual_seed(0), []

    def timed() -> float:
        ids = torch.randint(0, spec_of("grok").vocab_size, (SEQUENCES, LENGTH + 1), generator=random)
        borders = torch.rand((SEQUENCES, LENGTH), generator=random) < 1 / MEAN_DOCUMENT
        given = [x.contiguous().to(DEVICE) for x in (ids[:, :-1], ids[:, 1:], borders.cumsum(1).int())]
        torch.cuda.synchronize()
        start = time.perf_counter()
        losses.append(step(given[0], given[1], given[2] if documents else None).item())
        torch.cuda.synchronize()
        return time.perf_counter() - start

    first = timed()
    times = sorted([timed() for _ in range(WARM_UP + TIMED)][WARM_UP:])
    step_s = times[len(times) // 2]
    peak_gib = torch.cuda.max_memory_allocated() / 2**30
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        timed()
    kernels = sorted(profiled.key_averages(), key=lambda event: -event.device_time_total)
    tokens_per_s = SEQUENCES * LENGTH / step_s
    row = {
        "first_step_s": first,
        "step_s": step_s,
        "kernels_s": sum(k.device_time_total for k in kernels) / 1e6,
        "tokens_per_s": tokens_per_s,
        "peak_gib": peak_gib,
        "losses": [losses[0], losses[-1]],
    }
    peak = bf16_peak()
    if peak:
        row["mfu"] = tokens_per_s * training_flops_per_token(spec_of("grok"), LENGTH) / peak
    row["kernels_ms"] = [[k.key[:100], k.device_time_total / 1e3, k.count] for k in kernels[:KERNELS_SHOWN]]
    return row


def bf16_peak() -> float | None:
    """FLOP/s on the data sheet of this card, where the catalogue has it."""
    words = torch.cuda.get_device_name().lower().split()
    found = [name for name in names("gpus") if name in words]
    return load_gpu(found[0]).peak("bf16") if found else None


def rows_of(checkout: Path | None) -> dict[str, tuple[Callable[[], Step], bool]]:
    """How each row is made, and whether its sequences are cut into documents."""
    rows: dict[str, tuple[Callable[[], Step], bool]] = {
        "adamw": (ours, True),
        "wrapped": (partial(ours, wrapped=True), True),
        "muon": (partial(ours, optimizer="muon"), True),
        "plain": (partial(ours, "plain"), False),
        "plain documents": (partial(ours, "plain"), True),
    }
    if checkout is not None:
        rows["torchtitan"] = (partial(torchtitan, checkout, "sdpa"), False)
        rows["torchtitan documents"] = (partial(torchtitan, checkout, "flex"), True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torchtitan", type=Path, help="a checkout of it")
    parser.add_argument("--rows", help="names, comma-separated without blanks; all if not given")
    parser.add_argument("--output", type=Path, help="for benchmarks/results/")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here")
    known = rows_of(options.torchtitan)
    wanted = options.rows.split(",") if options.rows else list(known)
    machine = {"card": torch.cuda.get_device_name(), "torch": torch.__version__, "python": platform.python_version()}
    table: dict[str, Any] = {}
    for name in wanted:
        try:
            table[name] = measure(*known[name])
        except Exception as error:  # the other rows are worth having
            table[name] = {"failed": f"{type(error).__name__}: {error}"[:2000]}
        print(name, {k: v for k, v in table[name].items() if k != "kernels_ms"}, flush=True)
        for kernel, milliseconds, count in table[name].get("kernels_ms", []):
            print(f"{milliseconds:9.2f} ms {count:5d} x  {kernel}", file=sys.stderr)
        if options.output:
            record = {"date": f"{datetime.now(UTC):%Y-%m-%d}", **machine, "sequences": SEQUENCES, "seq_len": LENGTH}
            options.output.write_text(json.dumps(record | {"rows": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
