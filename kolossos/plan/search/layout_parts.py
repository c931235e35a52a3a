"""A few layouts priced part by part, where a search only keeps totals."""

from dataclasses import dataclass, replace

import numpy as np

from kolossos.plan.closed_form.layer_kernels import LayerKernels, layer_kernels
from kolossos.plan.closed_form.memory import MemoryColumns, memory_bytes
from kolossos.plan.closed_form.stage_memory import StageMemory, memory_by_stage
from kolossos.plan.closed_form.step import StepColumns, step_seconds
from kolossos.plan.job import Job
from kolossos.plan.rules.check import check
from kolossos.plan.search.energy import energy_per_second
from kolossos.plan.search.prices import Choice
from kolossos.plan.setting import Setting
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class PricedLayout:
    """One layout: parts of its step in seconds, parts of its memory in bytes, scalars."""

    layout: Layout
    step: StepColumns
    memory: MemoryColumns
    choice: Choice
    busy_share: float
    mfu: float
    """Model FLOPs (no recompute, causal attention) over the dense peak of the precision used."""
    stages: list[StageMemory]
    """Memory stage by stage; ``memory`` and the choice's bytes are those of the fullest."""
    setting: Setting
    """The layout as columns of one row, with all that was asked: made once, and handed on."""
    kernels: LayerKernels

    @property
    def step_time_s(self) -> float:
        """Seconds of a step."""
        return float(self.step.step)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of a global batch."""
        return self.layout.global_batch_size * self.layout.seq_len

    @property
    def parts(self) -> dict[str, float]:
        """Seconds by part, largest first; they add up to the step."""
        return largest_first(self.step, part_names(self.step))

    @property
    def hidden(self) -> dict[str, float]:
        """Seconds of communication behind computation, by axis."""
        return largest_first(self.step, [name for name in self.step.__dataclass_fields__ if name.endswith("_hidden")])

    @property
    def memory_parts(self) -> dict[str, float]:
        """Bytes by part, largest first."""
        return largest_first(self.memory, list(self.memory.__dataclass_fields__))


def part_names(step: StepColumns) -> list[str]:
    """The parts that add up to a step."""
    return [name for name in step.__dataclass_fields__ if name != "step" and not name.endswith("_hidden")]


def largest_first(columns: StepColumns | MemoryColumns, names: list[str]) -> dict[str, float]:
    """Fields of scalar columns as numbers."""
    values = {name: float(getattr(columns, name)) for name in names}
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def price_layouts(job: Job, layouts: list[Layout]) -> list[PricedLayout]:
    """Price each of ``layouts`` on the job's cards."""
    return _price(job, layouts, job.setting_of(layouts))


def price_if_allowed(job: Job, layout: Layout) -> PricedLayout:
    """Price one layout that a person gave; InputError if it breaks a rule."""
    setting = job.setting_of([layout])
    check(layout, job.bounds, setting.layout)
    return _price(job, [layout], setting)[0]


def _price(job: Job, layouts: list[Layout], setting: Setting) -> list[PricedLayout]:
    kernels = layer_kernels(setting.model, setting.hardware, setting.layout)
    steps, memories = step_seconds(kernels, setting), memory_bytes(setting)
    priced = []
    for i, layout in enumerate(layouts):
        row = np.array([i])
        figures = (_row(steps, i), _row(memories, i))
        priced.append(_one(job, layout, *figures, setting=setting.take(row), kernels=kernels.take(row)))
    return priced


def _row(columns, index: int):
    values = {n: getattr(columns, n) for n in columns.__dataclass_fields__}
    return type(columns)(**{n: np.float64(c if np.ndim(c) == 0 else c[index]) for n, c in values.items()})


def _one(
    job: Job, layout: Layout, step: StepColumns, memory: MemoryColumns, *, setting: Setting, kernels: LayerKernels
) -> PricedLayout:
    seconds, busy = float(step.step), float(step.busy)
    stages = memory_by_stage(setting)
    memory = _of_stage(max(stages, key=lambda stage: stage.total), memory, stages)
    tokens, gpus = layout.global_batch_size * layout.seq_len, layout.world_size
    waiting, computing = energy_per_second(job.gpu, job.power)
    choice = Choice(
        layout=layout,
        step_time_s=seconds,
        memory_bytes=float(memory.total),
        seconds_per_token=seconds / tokens,
        joules_per_token=gpus * (waiting * seconds + computing * busy) / tokens,
        usd_per_token=seconds * gpus * job.usd_per_gpu_hour / 3600.0 / tokens,
    )
    rate = tokens / seconds / gpus
    mfu = float(training_flops_per_token(job.model, layout.seq_len) * rate / job.gpu.peak(layout.precision))
    return PricedLayout(layout, step, memory, choice, busy / seconds, mfu, stages, setting, kernels)


def _of_stage(stage: StageMemory, whole: MemoryColumns, stages: list[StageMemory]) -> MemoryColumns:
    """The parts of one stage's memory, from those of a stage that had the most of each."""
    ratio = stage.states / max(float(whole.weights + whole.gradients + whole.optimizer), 1.0)
    logits = stage.activations if stage is stages[-1] else 0.0
    logits = min(logits, float(whole.logits)) if len(stages) > 1 or float(whole.logits) else 0.0
    parts = {"weights": whole.weights, "gradients": whole.gradients, "optimizer": whole.optimizer}
    return replace(
        whole,
        **{name: np.float64(float(value) * ratio) for name, value in parts.items()},
        activations=np.float64(stage.activations - logits),
        logits=np.float64(logits),
    )  # pyright: ignore[reportArgumentType]
