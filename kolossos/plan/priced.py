"""A few layouts priced part by part, where a search only keeps totals."""

from dataclasses import dataclass

import numpy as np

from kolossos.plan.blocks import Setting
from kolossos.plan.columns import LayoutColumns
from kolossos.plan.events import StepSchedule, schedule_step
from kolossos.plan.job import Job
from kolossos.plan.layer_kernels import layer_kernels
from kolossos.plan.memory import MemoryColumns, memory_bytes
from kolossos.plan.price import busy_seconds, energy_per_second, model_flops_utilization
from kolossos.plan.search import Choice
from kolossos.plan.step import StepColumns, step_seconds
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


MOST_EVENTS = 200_000
"""Passes of micro-batches through chunks, up to which a step is played (about a second)."""


def schedule_of(job: Job, layout: Layout) -> StepSchedule | None:
    """One step as the event schedule plays it, the second evaluator; None where that would take long."""
    if layout.pp * layout.vp * layout.accumulation_steps > MOST_EVENTS:
        return None
    setting = job.setting(LayoutColumns.of(layout))
    return schedule_step(layer_kernels(setting.model, setting.hardware, setting.layout), setting)


def part_names(step: StepColumns) -> list[str]:
    """The parts that add up to a step."""
    return [name for name in step.__dataclass_fields__ if name != "step" and not name.endswith("_hidden")]


def largest_first(columns: StepColumns | MemoryColumns, names: list[str]) -> dict[str, float]:
    """Fields of scalar columns as numbers."""
    values = {name: float(getattr(columns, name)) for name in names}
    return dict(sorted(values.items(), key=lambda item: -item[1]))


def setting_of_layouts(job: Job, layouts: list[Layout]) -> Setting:
    """One row for each of ``layouts``."""
    return job.setting(LayoutColumns.stack([LayoutColumns.of(layout) for layout in layouts]))


def price_layouts(job: Job, layouts: list[Layout]) -> list[PricedLayout]:
    """Price each of ``layouts`` on the job's cards."""
    setting = setting_of_layouts(job, layouts)
    kernels = layer_kernels(setting.model, setting.hardware, setting.layout)
    steps, memories = step_seconds(kernels, setting), memory_bytes(setting)
    return [_one(job, layout, _row(steps, i), _row(memories, i)) for i, layout in enumerate(layouts)]


def _row(columns, index: int):
    values = {n: getattr(columns, n) for n in columns.__dataclass_fields__}
    return type(columns)(**{n: np.float64(c if np.ndim(c) == 0 else c[index]) for n, c in values.items()})


def _one(job: Job, layout: Layout, step: StepColumns, memory: MemoryColumns) -> PricedLayout:
    seconds, busy = float(step.step), float(busy_seconds(step))
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
    mfu = float(model_flops_utilization(job.model, job.gpu, layout.precision, rate, layout.seq_len))
    return PricedLayout(layout, step, memory, choice, busy / seconds, mfu)
