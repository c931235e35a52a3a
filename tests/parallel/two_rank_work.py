"""What the ranks of the tests do, and what one does alone: the training step as it is, on a share of each batch."""

from typing import Any

import torch
import torch.distributed as dist
from specs import grok_1_like, llama_like
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

from kolossos.errors import InputError
from kolossos.model.decoder import Decoder
from kolossos.model.held import held_tensor, whole_tensor
from kolossos.model.init import initialize
from kolossos.parallel.mesh import build_mesh
from kolossos.parallel.parallelize import parallelize
from kolossos.parallel.shares import share_of_batch
from kolossos.parallel.sums import data_sums
from kolossos.specs.layout import Layout
from kolossos.specs.run import DataSpec, LossSpec, OptimizerSpec, RunSpec, ScheduleSpec
from kolossos.train.optimizer import Optimizer
from kolossos.train.setup import build_model
from kolossos.train.step import MicroBatch, StepResult, train_step

STEPS = 5
BATCH, LENGTH = 8, 24
MODELS = {"moe": grok_1_like, "dense": llama_like}
LAYOUTS = {
    "fsdp": {"dp_shard": 2},
    "fsdp kept": {"dp_shard": 2, "sharding": "gradients"},
    "replicas": {"dp_replicate": 2},
    "unequal": {"dp_shard": 2},
}
COLUMNS = ("attention.query", "attention.key", "attention.value", "mlp.gate", "mlp.up")
ROWS = ("attention.output", "mlp.down")
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
    spec = spec_of(model_name, optimizer_name.split()[0], layout)
    mesh = build_mesh(spec.layout, "cpu") if layout else None
    model = build_model(spec, mesh, torch.device("cpu"))
    elements = sum(held_tensor(p.detach()).numel() for p in model.parameters())
    first = whole_weights(model)
    products = torch.float32 if "fp32" in optimizer_name else torch.bfloat16
    optimizer = Optimizer(model, spec.optimizer, products=products)
    which = mesh.get_rank() if mesh else 0
    generator = torch.Generator().manual_seed(1)
    results = []
    for _ in range(STEPS):
        tokens = torch.randint(spec.model.vocab_size, (BATCH, LENGTH + 1), generator=generator)
        share = [tokens[s.start : s.stop] for s in share_of_batch(spec.layout, which, weights)]
        results.append(step_on(share, model, optimizer, spec.loss, mesh))
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


def step_on(
    share: list[torch.Tensor], model: Decoder, optimizer: Optimizer, losses: LossSpec, mesh: DeviceMesh | None
) -> StepResult:
    """The training step, on the micro-batches [B, S + 1] of this rank."""
    return train_step(
        model,
        optimizer,
        [MicroBatch(t[:, :-1].contiguous(), t[:, 1:].contiguous()) for t in share],
        n_targets=BATCH * LENGTH,
        losses=losses,
        dtype=torch.float32,
        lr_factor=1.0,
        sums=data_sums(mesh),
        skip_if_not_finite=True,
    )


def skipped() -> bool:
    """Whether a step whose gradients are NaN on the second rank alone leaves weights and optimizer as they were."""
    spec = spec_of("moe", "muon", {"dp_shard": 2})
    mesh = build_mesh(spec.layout, "cpu")
    assert mesh is not None
    model = build_model(spec, mesh, torch.device("cpu"))
    optimizer = Optimizer(model, spec.optimizer)
    tokens = torch.zeros(2, LENGTH + 1, dtype=torch.long)
    step_on([tokens, tokens], model, optimizer, spec.loss, mesh)
    state = [held_tensor(x.detach()) for x in (*model.parameters(), *optimizer.state().values())]
    before = [x.clone() for x in state]
    spoilt = spec.loss.model_copy(update={"router_z": float("nan")}) if mesh.get_rank() else spec.loss
    result = step_on([tokens, tokens], model, optimizer, spoilt, mesh)
    return bool(result.grad_norm.isnan()) and all(torch.equal(a, b) for a, b in zip(before, state, strict=True))


def whole_weights(model: Decoder) -> dict[str, torch.Tensor]:
    """Every parameter, gathered."""
    return {n: whole_tensor(held_tensor(p.detach()), p.detach()).clone() for n, p in model.named_parameters()}


def hidden_states(tensor_parallel: bool) -> dict[str, torch.Tensor]:
    """What a dense model makes of some tokens, and the gradient of its embedding; layers cut by torch's own styles."""
    with torch.device("meta"):
        model = Decoder(llama_like())
    if tensor_parallel:
        mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("tp",))
        for layer in model.layers:
            parallelize_module(layer, mesh, {name: ColwiseParallel() for name in COLUMNS})
            parallelize_module(layer, mesh, {name: RowwiseParallel() for name in ROWS})
    model.to_empty(device="cpu")
    initialize(model, 3)
    tokens = torch.randint(model.spec.vocab_size, (2, LENGTH), generator=torch.Generator().manual_seed(1))
    hidden, _ = model(tokens)
    hidden.square().mean().backward()
    return {"hidden": hidden.detach(), "gradient": model.embedding.weight.grad}


def refused() -> dict[str, str]:
    """Why layouts are not taken."""
    reasons = {}
    for name, layout in {
        "too many": Layout(dp_shard=3, micro_batch_size=1, global_batch_size=3),
        **{axis: Layout(**{axis: 2}) for axis in ("tp", "pp", "cp")},
        "ep": Layout(ep=2, dp_shard=2, micro_batch_size=1, global_batch_size=2),
        "none": Layout(dp_shard=2, sharding="none", micro_batch_size=1, global_batch_size=2),
    }.items():
        try:
            with torch.device("meta"):
                parallelize(Decoder(grok_1_like()), layout, build_mesh(layout, "cpu"))
        except InputError as error:
            reasons[name] = str(error)
    return reasons


def all_cases() -> dict[Any, Any]:
    """Every case on the ranks that there are."""
    assert dist.get_world_size() == 2
    found: dict[Any, dict] = {
        "tp": hidden_states(tensor_parallel=True),
        "refused": refused(),
        "skipped": {"all": skipped()},
    }
    for case in CASES:
        found[case] = trained(*case[:2], LAYOUTS[case[2]], [3, 1] if case[2] == "unequal" else None)
    return found
