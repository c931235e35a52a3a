"""The training step of one rank on fake tensors: the same modules, cuts and collectives that train on real ones."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from kolossos.model.chunks import Chunks, Held
from kolossos.model.decoder import Decoder, Layer
from kolossos.model.held import held_tensor
from kolossos.model.part import ModelPart
from kolossos.parallel.mesh import Meshes
from kolossos.parallel.parallelize import parallelize
from kolossos.parallel.pipeline import Pipeline
from kolossos.parallel.sums import RankSums, all_sums
from kolossos.specs.run import RunSpec
from kolossos.trace.attention import AttentionKernel
from kolossos.trace.meter import Meter
from kolossos.trace.world import without_a_vote
from kolossos.train.optimizer import Optimizer
from kolossos.train.precision import compute_dtype
from kolossos.train.setup import pipeline_of
from kolossos.train.step import MicroBatch, train_step

Said = Callable[[str], None]


@dataclass
class Counts:
    """What one rank does in one step.

    flops: by kind (products, experts, attention, update). sent_bytes, calls: by (axis, collective).
    weights_bytes, optimizer_bytes, gradient_bytes: held between steps (gradients: at the end of backward).
    peak_bytes: the most that is alive at any moment, those among it.
    """

    flops: Counter[str] = field(default_factory=Counter)
    sent_bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    weights_bytes: int = 0
    optimizer_bytes: int = 0
    gradient_bytes: int = 0
    peak_bytes: int = 0


def trace_rank(spec: RunSpec, parts: Sequence[ModelPart], passes: int, meshes: Meshes | None) -> Counts:
    """Trace one step of ``passes`` micro-batches through ``parts`` of the model, as this rank of ``meshes``."""
    axes = meshes.axes if meshes else {}
    meter = Meter(axes)
    dtype = compute_dtype(spec.layout.precision)
    with torch.device("meta"):
        decoders = [Decoder(spec.model, part) for part in parts]
    for decoder in decoders:
        parallelize(decoder, spec.layout, meshes)
        decoder.set_recompute(spec.layout.recompute)
        _take_kernel(decoder, meter)
    model: Held = decoders[0] if len(decoders) == 1 else Chunks(decoders)
    with FakeTensorMode(allow_non_fake_inputs=True), meter.resizing(), without_a_vote():
        model.to_empty(device="cpu")
        model.train()
        optimizer = Optimizer(model, spec.optimizer, products=dtype)
        held = {id(p): p for p in model.parameters()}
        counts = Counts(
            weights_bytes=_bytes_of(held.values()),
            optimizer_bytes=_bytes_of(optimizer.state().values()),
            gradient_bytes=_bytes_of(held.values()),
        )
        meter.hold([*held.values(), *optimizer.state().values()])
        pipeline = pipeline_of(spec, meshes, model, dtype)
        if pipeline is not None and pipeline.ends is not None:
            axes[pipeline.ends.group_name] = "pp"
        step = _Step(spec, model, optimizer, all_sums(meshes), pipeline, meter)
        with meter:
            step(passes if pipeline else 1)  # buffers are made in the first step
            meter.begin()
            step(passes)
    counts.flops, counts.sent_bytes, counts.calls = meter.flops, meter.sent_bytes, meter.calls
    counts.peak_bytes = meter.peak_bytes
    return counts


@dataclass
class _Step:
    """One training step on tokens without numbers."""

    spec: RunSpec
    model: Held
    optimizer: Optimizer
    sums: RankSums
    pipeline: Pipeline | None
    meter: Meter

    def __call__(self, passes: int) -> None:
        layout = self.spec.layout
        shape = layout.micro_batch_size, layout.seq_len
        batches = [
            MicroBatch(torch.empty(shape, dtype=torch.long), torch.empty(shape, dtype=torch.long))
            for _ in range(passes)
        ]

        def at(part: str) -> None:
            self.meter.phase = "update" if part == "update" else ""

        train_step(
            self.model,
            self.optimizer,
            batches,
            n_targets=layout.global_batch_size * layout.seq_len,
            losses=self.spec.loss,
            dtype=compute_dtype(layout.precision),
            lr_factor=1.0,
            sums=self.sums,
            pipeline=self.pipeline,
            at=at,
        )


def _take_kernel(decoder: Decoder, meter: Meter) -> None:
    for number, layer in zip(decoder.part.layers, decoder.layers, strict=True):
        assert isinstance(layer, Layer)
        layer.attention.attend = AttentionKernel(decoder.spec.window_of(number), meter.count_flops)  # type: ignore[assignment]


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(held.numel() * held.element_size() for held in map(held_tensor, tensors))
