"""Pipeline stages on different kinds of GPU: more layers on the faster ones, and all kinds in every replica.

1F1B of unequal stages takes micro-batches times the slowest stage, and once through all the others to fill and drain.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.closed_form.blocks import blocks
from kolossos.plan.closed_form.data_parallel import LayerPasses, data_parallel
from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.closed_form.memory import activation_bytes, memory_with
from kolossos.plan.closed_form.parameters import StageParameters, stage_parameters
from kolossos.plan.closed_form.pipeline import hop_seconds, hops_that_show
from kolossos.plan.closed_form.step import layer_seconds, optimizer_seconds
from kolossos.plan.columns import LayoutColumns
from kolossos.plan.job import Job
from kolossos.plan.layers import Stages
from kolossos.plan.mixed.contribution import Contribution, Split
from kolossos.plan.schedules.one_forward_one_backward import SCHEDULE as ONE_F_ONE_B
from kolossos.plan.search.space import smooth_numbers
from kolossos.plan.setting import Setting
from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class _Kind:
    """One kind's seconds of a layer and of the head for one micro-batch, and the share of them in which it computes."""

    job: Job
    setting: Setting
    """The layout on this kind."""
    n_stages: int
    forward: float
    backward: float
    head: float
    computing: float


def stages_of(jobs: list[Job], candidates: list[Layout]) -> Split | None:
    """The best split by pipeline stages over all ``candidates``; None where no pipeline can be shared out."""
    plain = {"vp": 1, "schedule": ONE_F_ONE_B.name}
    found = [split for layout in candidates if (split := _one(jobs, layout.model_copy(update=plain))) is not None]
    return min(found, key=lambda split: split[0] / split[1], default=None)


def _one(jobs: list[Job], layout: Layout) -> Split | None:
    if layout.pp < len(jobs) or layout.sharding == "parameters":
        return None
    counts = _stages_by_gpus([job.n_gpus for job in jobs], layout.pp)
    base = layout.tp * layout.cp
    dp = min(job.n_gpus // (base * n) for job, n in zip(jobs, counts, strict=True))
    fitted = [d for d in smooth_numbers(max(dp, 1)) if d <= dp and base * d % (layout.ep * layout.etp) == 0]
    if not fitted:
        return None
    dp = int(fitted[-1])
    per_pass = layout.micro_batch_size * dp
    batch = max(round(jobs[0].batch / per_pass), 1) * per_pass
    if abs(batch - jobs[0].batch) > jobs[0].batch_slack * jobs[0].batch:
        return None
    shard = 1 if layout.sharding == "none" else dp
    whole = layout.model_copy(update={"dp_shard": shard, "dp_replicate": dp // shard, "global_batch_size": int(batch)})
    order = sorted(zip(jobs, counts, strict=True), key=lambda pair: -pair[0].gpu.memory_bytes)
    columns = LayoutColumns.of(whole)
    return _price([_kind(job, n, columns) for job, n in order], whole)


def _stages_by_gpus(gpus: list[int], pp: int) -> list[int]:
    """Stages of each kind in proportion to its GPUs, at least one each, ``pp`` in all."""
    exact = np.array(gpus) / sum(gpus) * pp
    counts = np.maximum(np.floor(exact), 1.0)
    while counts.sum() < pp:
        counts[int(np.argmax(exact - counts))] += 1
    while counts.sum() > pp:
        counts[int(np.argmax(counts))] -= 1
    return [int(count) for count in counts]


def _kind(job: Job, n_stages: int, columns: LayoutColumns) -> _Kind:
    setting = job.setting(columns)
    priced = blocks(layer_kernels(setting.model, setting.hardware, setting.layout), setting)
    layer = layer_seconds(priced, setting)
    both = layer.forward + layer.backward
    head = layer.head_forward + layer.head_backward
    share = float(both.computing / both.total)
    return _Kind(
        job, setting, n_stages, float(layer.forward.total), float(layer.backward.total), float(head.total), share
    )


def spread_layers(n_layers: int, seconds: list[float], ends: list[float]) -> list[int]:
    """Layers of each stage so that the slowest is fastest: each layer goes where it ends soonest. At least one each.

    ``seconds`` of a layer on each stage; ``ends``: what a stage has besides (the head).
    """
    layers = [1] * len(seconds)
    for _ in range(n_layers - len(seconds)):
        stage = min(range(len(seconds)), key=lambda s: (layers[s] + 1) * seconds[s] + ends[s])
        layers[stage] += 1
    return layers


def _price(kinds: list[_Kind], layout: Layout) -> Split | None:
    stages = [kind for kind in kinds for _ in range(kind.n_stages)]
    model = stages[0].job.model
    if len(stages) > model.n_layers:
        return None
    seconds = [kind.forward + kind.backward for kind in stages]
    ends = [0.0] * (len(stages) - 1) + [stages[-1].head]
    layers = spread_layers(model.n_layers, seconds, ends)
    times = [n * s + e for n, s, e in zip(layers, seconds, ends, strict=True)]
    n_micro = layout.accumulation_steps
    memory = [_memory(kind, layout, n, i) for i, (kind, n) in enumerate(zip(stages, layers, strict=True))]
    if any(need > kind.job.usable_bytes for need, kind in zip(memory, stages, strict=True)):
        return None
    closing = [_closing(kind, layout, n) for kind, n in zip(stages, layers, strict=True)]
    setting = stages[0].setting
    hops = float(hop_seconds(setting) * hops_that_show(setting))
    hops += n_micro * float(setting.software.micro_batch_overhead_s)
    quiet = n_micro * max(times) + sum(times) - max(times) + hops + max(closing)
    quiet += float(setting.software.step_overhead_s)
    step = quiet * (1 + float(setting.software.jitter) * np.log2(max(layout.world_size / 8, 1)))
    parts = [_contribution(kind, stages, layers, times, memory, layout, float(step)) for kind in kinds]
    return float(step), float(layout.global_batch_size * layout.seq_len), parts


def _held(kind: _Kind, layers: int) -> tuple[Setting, StageParameters]:
    setting = kind.setting
    return setting, stage_parameters(setting.model, setting.layout, np.float64(layers), np.float64(1))  # pyright: ignore


def _closing(kind: _Kind, layout: Layout, layers: int) -> float:
    """What shows of the gradients' and parameters' traffic, and the optimizer, of a stage with so many layers."""
    setting, held = _held(kind, layers)
    count, none = np.float64(layers), np.zeros(())
    passes = LayerPasses(np.float64(kind.forward), np.float64(kind.backward), none, np.zeros((), dtype=bool))  # pyright: ignore
    stage = Stages(count, count, count, count)  # pyright: ignore
    one_by_one = setting.software.shard_overhead_s * (layout.dp_shard - 1) * (layout.sharding != "none")
    return float(data_parallel(passes, stage, setting).once + optimizer_seconds(held, setting) + one_by_one)


def _memory(kind: _Kind, layout: Layout, layers: int, stage: int) -> float:
    """Bytes of stage number ``stage``: the closed form's, with these layers and micro-batches alive."""
    setting, held = _held(kind, layers)
    activations = activation_bytes(setting)
    alive = ONE_F_ONE_B.alive_on(stage, layout.pp, layout.vp, layout.accumulation_steps)
    equal = memory_with(activations, setting)
    scale = float(held.total) / max(float(equal.weights) / 2.0, 1.0)
    states = (float(equal.weights) + float(equal.gradients) + float(equal.optimizer)) * scale
    kept = float(activations.kept) * layers * alive * float(setting.software.activation_scale)
    return states + kept + float(equal.buffers) + float(equal.runtime)


def _contribution(
    kind: _Kind,
    stages: list[_Kind],
    layers: list[int],
    times: list[float],
    memory: list[float],
    layout: Layout,
    step: float,
) -> Contribution:
    own = [i for i, other in enumerate(stages) if other is kind]
    gpus = layout.world_size // layout.pp * len(own)
    computing = float(np.mean([times[i] for i in own])) * layout.accumulation_steps * kind.computing
    return Contribution(
        gpu=kind.job.gpu.name,
        n_gpus=gpus,
        n_idle=kind.job.n_gpus - gpus,
        layout=layout,
        share_of_tokens=sum(layers[i] for i in own) / sum(layers),
        step_time_s=step,
        busy_share=min(computing / step, 1.0),
        memory_bytes=max(memory[i] for i in own),
        memory_of=kind.job.gpu.memory_bytes,
        layers=tuple(layers[i] for i in own),
    )
