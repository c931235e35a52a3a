"""What the ranks of the tests do: the training step as it is, on a share of each batch; and what one rank does alone."""

from typing import Any

import torch
import torch.distributed as dist
from specs import grok_1_like, llama_like

from kolossos.model.decoder import Decoder
from kolossos.model.held import held_tensor, whole_tensor
from kolossos.parallel.mesh import build_mesh
from kolossos.parallel.shares import share_of_batch
from kolossos.parallel.sums import data_sums
from kolossos.specs.layout import Layout
from kolossos.specs.run import DataSpec, LossSpec, OptimizerSpec, RunSpec, ScheduleSpec
from kolossos.train import muon
from kolossos.train.optimizer import Optimizer
from kolossos.train.setup import build_model
from kolossos.train.step import MicroBatch, train_step

STEPS = 6
BATCH, LENGTH = 8, 24
MODELS = {"moe": grok_1_like, "dense": llama_like}
LAYOUTS = {
    "fsdp": {"dp_shard": 2},
    "fsdp kept": {"dp_shard": 2, "sharding": "gradients"},
    "replicas": {"dp_replicate": 2},
    "unequal": {"dp_shard": 2},
}
CASES = [
    *((model, optimizer, "fsdp") for model in MODELS for optimizer in ("adamw", "muon", "muon in fp32")),
    *(("moe", "adamw", layout) for layout in LAYOUTS if layout != "fsdp"),
]


def spec_of(model: str, optimizer: str, layout: dict[str, Any]) -> RunSpec:
    """Two passes of four sequences a step, on however many ranks."""
    micro = 4 // (layout.get("dp_shard", 1) * layout.get("dp_replicate", 1))
    return RunSpec(
        name="small",
        model=MODELS[model](),
        data=DataSpec(path="none"),
        layout=Layout(**layout, micro_batch_size=micro, global_batch_size=BATCH, seq_len=LENGTH, precision="fp32"),
        optimizer=OptimizerSpec(name=optimizer, lr=0.003),  # type: ignore[arg-type]
        schedule=ScheduleSpec(steps=STEPS),
        loss=LossSpec(balance=0.05, router_z=0.01),
    )


def trained(model_name: str, optimizer_name: str, layout: dict[str, Any], weights: list[int] | None = None) -> dict:
    """Losses, gradient norms, balances, loads and last whole weights of a few steps on random tokens."""
    muon.PRODUCTS = torch.float32 if "fp32" in optimizer_name else torch.bfloat16
    spec = spec_of(model_name, optimizer_name.split()[0], layout)
    mesh = build_mesh(spec.layout, "cpu") if layout else None
    model = build_model(spec, mesh, torch.device("cpu"))
    elements = sum(held_tensor(p.detach()).numel() for p in model.parameters())
    first = whole_weights(model)
    optimizer = Optimizer(model, spec.optimizer)
    which = mesh.get_rank() if mesh else 0
    generator = torch.Generator().manual_seed(1)
    results = []
    for _ in range(STEPS):
        tokens = torch.randint(spec.model.vocab_size, (BATCH, LENGTH + 1), generator=generator)
        share = [tokens[s.start : s.stop] for s in share_of_batch(spec.layout, which, weights)]
        micro_batches = [MicroBatch(t[:, :-1].contiguous(), t[:, 1:].contiguous()) for t in share]
        results.append(
            train_step(
                model,
                optimizer,
                micro_batches,
                n_targets=BATCH * LENGTH,
                losses=spec.loss,
                dtype=torch.float32,
                lr_factor=1.0,
                sums=data_sums(mesh),
            )
        )
    return {
        "loss": torch.stack([r.loss for r in results]),
        "grad_norm": torch.stack([r.grad_norm for r in results]),
        "balance": None if results[0].balance is None else torch.stack([r.balance for r in results]),
        "load_LE": None if results[0].load_LE is None else torch.stack([r.load_LE for r in results]),
        "first": first,
        "weights": whole_weights(model),
        "elements": elements,
        "tokens": sum(len(s) for s in share_of_batch(spec.layout, which, weights)) * LENGTH,
    }


def whole_weights(model: Decoder) -> dict[str, torch.Tensor]:
    """Every parameter, gathered."""
    return {n: whole_tensor(held_tensor(p.detach()), p.detach()).clone() for n, p in model.named_parameters()}


def all_cases() -> dict[tuple[str, str, str], dict]:
    """Every case on the ranks that there are."""
    assert dist.get_world_size() == 2
    return {case: trained(*case[:2], LAYOUTS[case[2]], [3, 1] if case[2] == "unequal" else None) for case in CASES}
