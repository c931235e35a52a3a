"""The training step of small models under a layout, on the ranks there are, and under none on one."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from specs import grok_1_like, grok_2_like, llama_like

from kolossos.data.corpus.batches import Batch
from kolossos.model.held import held_tensor, whole_tensor
from kolossos.parallel.coordinates import coordinates_of, data_rank
from kolossos.parallel.mesh import build_mesh
from kolossos.parallel.shares import share_of_batch
from kolossos.parallel.sums import all_sums
from kolossos.parallel.whole import whole_model
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec
from kolossos.specs.run import DataSpec, LossSpec, OptimizerSpec, RunSpec, ScheduleSpec
from kolossos.specs.tokens import IGNORED_TARGET
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.checkpoints.ranks import ALONE, Ranks
from kolossos.train.evaluate import Scorers, evaluate
from kolossos.train.optimizer import Optimizer
from kolossos.train.setup import build_model, pipeline_of
from kolossos.train.step import MicroBatch, StepResult, train_step
from kolossos.train.watch.replicas import differing_replicas


def oss_like() -> ModelSpec:
    """Biases everywhere, sinks, and windows in turn."""
    spec = grok_1_like()
    assert spec.moe is not None
    changes = {"moe": spec.moe.model_copy(update={"bias": True}), "attn_windows": (8, 0)}
    return spec.model_copy(update={**changes, "qkv_bias": True, "attn_output_bias": True, "attn_sinks": True})


def normed_like() -> ModelSpec:
    """Queries and keys with norms of each head."""
    return llama_like().model_copy(update={"qk_norm": "head", "attn_windows": (8, 0)})


MODELS = {"moe": grok_1_like, "both": grok_2_like, "dense": llama_like, "oss": oss_like, "normed": normed_like}
BATCH, LENGTH = 16, 32
PER_PASS = 4
CURVES = ("loss", "grad_norm", "balance", "z")


def spec_of(model: str, optimizer: str, layout: dict[str, Any]) -> RunSpec:
    """Four passes of four sequences a step, on however many ranks."""
    data = layout.get("dp_shard", 1) * layout.get("dp_replicate", 1)
    return RunSpec(
        name="small",
        model=MODELS[model]().model_copy(update={"n_layers": 4}),
        data=DataSpec(path="none"),
        layout=Layout(
            **layout, micro_batch_size=PER_PASS // data, global_batch_size=BATCH, seq_len=LENGTH, precision="fp32"
        ),
        optimizer=OptimizerSpec(name=optimizer, lr=0.001),  # type: ignore[arg-type]
        schedule=ScheduleSpec(steps=100),
        loss=LossSpec(balance=0.05, router_z=0.01),
    )


class Job:
    """A model under a layout, to step, score, save and load. Muon's products are in fp32."""

    def __init__(
        self, model: str, optimizer: str, layout: dict[str, Any] | None = None, weights: list[int] | None = None
    ):
        self.spec = spec_of(model, optimizer, layout or {})
        self.meshes = build_mesh(self.spec.layout, "cpu") if layout else None
        self.place = data_rank(self.spec.layout, coordinates_of(self.spec.layout, self.meshes.rank if layout else 0))
        self.model = build_model(self.spec, self.meshes, torch.device("cpu"))
        self.pipeline = pipeline_of(self.spec, self.meshes, self.model, torch.float32)
        self.optimizer = Optimizer(self.model, self.spec.optimizer, products=torch.float32)
        self.share = share_of_batch(self.spec.layout, self.place, weights)

    def step(self, number: int, losses: LossSpec | None = None) -> StepResult:
        """Train on the random batch of this number; documents have borders."""
        generator = torch.Generator().manual_seed(number)
        tokens = torch.randint(self.spec.model.vocab_size, (BATCH, LENGTH + 1), generator=generator)
        documents = (torch.rand(BATCH, LENGTH, generator=generator) < 0.1).cumsum(1)
        return train_step(
            self.model,
            self.optimizer,
            [
                MicroBatch(tokens[rows, :-1].contiguous(), tokens[rows, 1:].contiguous(), documents[rows])
                for rows in (slice(s.start, s.stop) for s in self.share)
            ],
            n_targets=BATCH * LENGTH,
            losses=losses or self.spec.loss,
            dtype=torch.float32,
            lr_factor=1.0,
            sums=all_sums(self.meshes),
            pipeline=self.pipeline,
            skip_if_not_finite=True,
        )

    def steps(self, first: int, last: int) -> dict[str, Any]:
        """What `step` says of each of these, by name."""
        results = [self.step(number) for number in range(first, last)]
        curves = {name: [_number(getattr(result, name)) for result in results] for name in CURVES}
        loads = [result.load_LE for result in results if result.load_LE is not None]
        return {**curves, "loads": torch.stack(loads) if loads else torch.zeros(last - first, 0)}

    def validation(self) -> float:
        """Mean nats of a batch whose last positions do not count."""
        tokens = np.random.default_rng(5).integers(self.spec.model.vocab_size, size=(PER_PASS, LENGTH + 1))
        targets = tokens[:, 1:].copy()
        targets[-1, LENGTH // 2 :] = IGNORED_TARGET
        batch = Batch(tokens[:, :-1], targets, np.zeros(targets.shape, dtype=np.int32))
        together = Scorers(self.place, self.spec.layout.data_parallel, all_sums(self.meshes), self.pipeline)
        bytes_of_token = np.ones(self.spec.model.vocab_size, dtype=np.int64)
        made = evaluate(self.model, [batch] * 2, bytes_of_token, torch.float32, together=together)
        assert made is not None
        return made.loss

    def state(self) -> dict[str, torch.Tensor]:
        """As `Training.state`."""
        weights = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        return weights | {f"optimizer.{name}": value for name, value in self.optimizer.state().items()}

    def checkpoints(self, folder: str) -> CheckpointFolder:
        """The checkpoints in ``folder``, of all these ranks."""
        return CheckpointFolder(Path(folder), ranks=Ranks.of_group() if self.meshes else ALONE)

    def whole_weights(self) -> dict[str, torch.Tensor]:
        """Every parameter of the model."""
        model = self.model if self.meshes is None else whole_model(self.model, self.spec.layout, self.meshes)
        return {name: value.detach().clone() for name, value in model.named_parameters()}


def _number(value: torch.Tensor | None) -> float:
    return 0.0 if value is None else value.item()


def curve(model: str, optimizer: str, layout: dict[str, Any], steps: int) -> dict[str, Any]:
    """Of a training from the beginning: curves, the validation and the weights after it, elements held here."""
    job = Job(model, optimizer, layout)
    first = job.whole_weights()
    found = job.steps(0, steps)
    elements = sum(held_tensor(p.detach()).numel() for p in job.model.parameters())
    return {**found, "validation": [job.validation()], "first": first, "weights": job.whole_weights(), "held": elements}


def save(model: str, layout: dict[str, Any], folder: str, steps: int) -> None:
    """Train and leave a checkpoint."""
    job = Job(model, "adamw", layout)
    job.steps(0, steps)
    job.checkpoints(folder).save(steps, job.state(), wait=True)


def resume(model: str, layout: dict[str, Any], folder: str, steps: int) -> dict[str, Any]:
    """Go on from the checkpoint for so many steps."""
    job = Job(model, "adamw", layout)
    checkpoint = job.checkpoints(folder).newest_good(print)
    assert checkpoint is not None
    checkpoint.load(job.state())
    return job.steps(checkpoint.step, checkpoint.step + steps)


def unequal(weights: list[int]) -> dict[str, Any]:
    """A few steps where one rank has more of each pass; and how many tokens this rank has."""
    job = Job("moe", "adamw", {"dp_shard": 2}, weights)
    return {**job.steps(0, 3), "tokens": sum(len(s) for s in job.share) * LENGTH}


def skipped(layout: dict[str, Any]) -> bool:
    """Whether a step whose gradients are NaN on the last rank alone leaves weights and optimizer as they were."""
    job = Job("moe", "muon", layout)
    job.step(0)
    state = [held_tensor(x.detach()) for x in job.state().values()]
    before = [x.clone() for x in state]
    last = dist.get_rank() == dist.get_world_size() - 1
    spoilt = job.spec.loss.model_copy(update={"router_z": float("nan")}) if last else None
    result = job.step(1, spoilt)
    return bool(result.grad_norm.isnan()) and all(torch.equal(a, b) for a, b in zip(before, state, strict=True))


def gathered_alike() -> bool:
    """Whether a tensor that is cut twice along one dim (tp, and dp_shard inside of it) is whole again."""
    job = Job("dense", "adamw", {"tp": 2, "dp_shard": 2})
    alone = Job("dense", "adamw")
    mine = dict(job.model.named_parameters())
    return all(
        torch.equal(whole_tensor(held_tensor(mine[n].detach()), mine[n].detach()), p.detach())
        for n, p in alone.model.named_parameters()
    )


def flipped(layout: dict[str, Any], rank: int | None) -> str | None:
    """Who differs, in words, after a step, and one bit flipped on ``rank``."""
    job = Job("moe", "muon", layout)
    job.step(0)
    assert job.meshes is not None
    if rank == dist.get_rank():
        weight = held_tensor(next(iter(job.model.parameters())).detach())
        weight.view(torch.int32).flatten()[3] ^= 1
    found = differing_replicas(job.state(), job.meshes, Ranks.of_group())
    return None if found is None else str(found)
