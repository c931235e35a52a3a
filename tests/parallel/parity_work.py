"""The training step of small models under a layout, on the ranks there are, and under none on one."""

from typing import Any

import torch
from specs import grok_1_like, grok_2_like, llama_like

from kolossos.model.held import held_tensor, whole_tensor
from kolossos.parallel.coordinates import coordinates_of, data_rank
from kolossos.parallel.mesh import build_mesh
from kolossos.parallel.shares import share_of_batch
from kolossos.parallel.sums import all_sums
from kolossos.specs.layout import Layout
from kolossos.specs.run import DataSpec, LossSpec, OptimizerSpec, RunSpec, ScheduleSpec
from kolossos.train import muon
from kolossos.train.optimizer import Optimizer
from kolossos.train.setup import build_model, pipeline_of
from kolossos.train.step import MicroBatch, train_step

MODELS = {"moe": grok_1_like, "both": grok_2_like, "dense": llama_like}
BATCH, LENGTH = 16, 32
PER_PASS = 4


def spec_of(model: str, optimizer: str, layout: dict[str, Any]) -> RunSpec:
    """Four passes of four sequences a step, on however many ranks."""
    data = layout.get("dp_shard", 1) * layout.get("dp_replicate", 1)
    changes = {"n_layers": 4, "n_heads": 4, "n_kv_heads": 2}
    return RunSpec(
        name="small",
        model=MODELS[model]().model_copy(update=changes),
        data=DataSpec(path="none"),
        layout=Layout(
            **layout, micro_batch_size=PER_PASS // data, global_batch_size=BATCH, seq_len=LENGTH, precision="fp32"
        ),
        optimizer=OptimizerSpec(name=optimizer, lr=0.003),  # type: ignore[arg-type]
        schedule=ScheduleSpec(steps=100),
        loss=LossSpec(balance=0.05, router_z=0.01),
    )


def curve(model_name: str, optimizer_name: str, layout: dict[str, Any], steps: int) -> dict[str, Any]:
    """Losses, gradient norms, router's losses of each step, and the last whole weights."""
    muon.PRODUCTS = torch.float32
    torch.manual_seed(0)
    spec = spec_of(model_name, optimizer_name, layout)
    mesh = build_mesh(spec.layout, "cpu") if layout else None
    model = build_model(spec, mesh, torch.device("cpu"))
    pipeline = pipeline_of(spec, mesh, model, torch.float32)
    optimizer = Optimizer(model, spec.optimizer)
    which = data_rank(spec.layout, coordinates_of(spec.layout, mesh.rank if mesh else 0))
    generator = torch.Generator().manual_seed(1)
    found: dict[str, list[float]] = {"loss": [], "grad_norm": [], "balance": [], "z": []}
    for _ in range(steps):
        tokens = torch.randint(spec.model.vocab_size, (BATCH, LENGTH + 1), generator=generator)
        documents = torch.randint(2, (BATCH, LENGTH), generator=generator).cumsum(1)
        result = train_step(
            model,
            optimizer,
            [
                MicroBatch(t[:, :-1].contiguous(), t[:, 1:].contiguous(), documents[s.start : s.stop])
                for s in share_of_batch(spec.layout, which)
                for t in [tokens[s.start : s.stop]]
            ],
            n_targets=BATCH * LENGTH,
            losses=spec.loss,
            dtype=torch.float32,
            lr_factor=1.0,
            sums=all_sums(mesh),
            pipeline=pipeline,
            skip_if_not_finite=True,
        )
        for name, values in found.items():
            value = getattr(result, name)
            values.append(0.0 if value is None else value.item())
    load = None if result.load_LE is None else result.load_LE
    return {**found, "load_LE": load, "weights": whole_weights(model)}


def whole_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter of this rank's layers, gathered."""
    return {n: whole_tensor(held_tensor(p.detach()), p.detach()).clone() for n, p in model.named_parameters()}


def refusal(layout: dict[str, Any]) -> str:
    """Why the ranks there are do not take ``layout``."""
    raise NotImplementedError(layout)
