"""The second evaluator: one step of one layout as a schedule of events, played in order.

It stands on the same kernels, blocks and collectives as the closed form (``step``), but knows every stage,
micro-batch, chunk and stream. So it sees what a formula can only estimate: how uneven stages fill and drain, which
hops and which gradient buckets show, and how many micro-batches are alive where.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.closed_form.layer_kernels import LayerKernels
from kolossos.plan.events.play import Played, Transfer, play
from kolossos.plan.events.table import EventTable, event_table
from kolossos.plan.events.units import PARTS
from kolossos.plan.events.work import Work, step_work
from kolossos.plan.schedules.tasks import WEIGHT, Task, peak_in_flight
from kolossos.plan.setting import Setting

PerStage = NDArray[np.float64]


@dataclass(frozen=True)
class StageSeconds:
    """Where the step of each stage goes, in seconds, one entry a stage; the parts add up to the step.

    The words are those of ``StepColumns``. ``bubble`` is all waiting for other stages, unevenness included.
    """

    matmul: PerStage
    attention: PerStage
    elementwise: PerStage
    quantize: PerStage
    overhead: PerStage
    contention: PerStage
    tp_exposed: PerStage
    cp_exposed: PerStage
    ep_exposed: PerStage
    pp_exposed: PerStage
    dp_exposed: PerStage
    optimizer: PerStage
    bubble: PerStage
    jitter: PerStage

    @property
    def total(self) -> PerStage:
        """The step, as often as there are stages."""
        return sum((getattr(self, f.name) for f in fields(self)), start=np.zeros_like(self.bubble))

    @property
    def busy(self) -> PerStage:
        """All but waiting for other stages and ranks."""
        return self.total - self.bubble - self.jitter


@dataclass(frozen=True)
class StepSchedule:
    """One step of one layout."""

    step_s: float
    stages: StageSeconds
    in_flight: PerStage
    """The most micro-batches of each stage whose activations are alive at once; a chunk counts 1 / vp."""
    work: Work
    played: Played
    closing: list[Transfer]
    """What happens once at the end, by stage: whole reductions, optimizer, whole gathers, waiting for stragglers."""

    def events(self) -> EventTable:
        """Everything that happened, stream by stream."""
        return event_table(self.work, self.played, self.closing)


def schedule_step(kernels: LayerKernels, setting: Setting) -> StepSchedule:
    """Play one step of one layout (scalars, or columns of one row); ValueError for micro-batches that are no number
    of whole ones, or that an interleaved order can not be played with."""
    return schedule_work(step_work(kernels, setting))


def schedule_work(work: Work) -> StepSchedule:
    """Play a step whose work is known."""
    orders, *rest = work.schedule.orders(len(work.stages), work.vp, work.n_micro)
    played = play(work, orders)
    for others in rest:
        another = play(work, others)
        if another.end_s < played.end_s:
            orders, played = others, another
    closing, step_s = _close(work, played)
    in_flight = np.array([peak_in_flight(order, work.vp) for order in orders])
    return StepSchedule(step_s, _stage_seconds(work, played, closing, step_s), in_flight, work, played, closing)


def _close(work: Work, played: Played) -> tuple[list[Transfer], float]:
    """From the last gradient to the end of the step: the optimizer waits for all stages (it clips by their common
    norm), and everyone waits for the slowest rank."""
    task = Task(0, -1, -1)
    closing: list[Transfer] = []
    ready = []
    for index, stage in enumerate(work.stages):
        end = max(played.compute_end_s[index], played.dp_end_s[index])
        if not work.dp_overlap and not work.streamed and stage.reduce_s > 0:
            closing.append(Transfer(index, task, "reduce gradients", end, stage.reduce_s))
            end += stage.reduce_s
        ready.append(end)
    barrier, ends = max(ready), []
    for index, stage in enumerate(work.stages):
        end = barrier + work.shards_s
        if work.shards_s > 0:
            closing.append(Transfer(index, task, "shards one by one", barrier, work.shards_s))
        if stage.optimizer_s > 0:
            closing.append(Transfer(index, task, "optimizer", end, stage.optimizer_s))
        end += stage.optimizer_s
        if not work.dp_overlap and work.gathers and stage.gather_s > 0:
            closing.append(Transfer(index, task, "gather parameters", end, stage.gather_s))
            end += stage.gather_s
        ends.append(end)
    quiet = max(ends)
    step = quiet * (1.0 + work.jitter)
    if work.jitter > 0:
        closing += [Transfer(index, task, "jitter", quiet, step - quiet) for index in range(len(work.stages))]
    return closing, step


def _stage_seconds(work: Work, played: Played, closing: list[Transfer], step_s: float) -> StageSeconds:
    n_stages = len(work.stages)
    parts = {f.name: np.zeros(n_stages) for f in fields(StageSeconds)}
    for index, stage in enumerate(work.stages):
        for chunk in stage.passes:
            for usual in chunk if work.splits_backward else chunk[:WEIGHT]:
                for name in (*PARTS, "dp_exposed"):
                    parts[name][index] += usual.parts[name] * work.n_micro
    parts["overhead"] += work.overhead_s
    parts["contention"] += np.array(played.slowed_s)
    parts["dp_exposed"] += np.array(played.stalled_s)
    parts["dp_exposed"] += np.maximum(np.array(played.dp_end_s) - np.array(played.compute_end_s), 0.0)
    if work.hops_block:
        for hop in played.hops:
            parts["pp_exposed"][hop.stage] += hop.duration_s
    for done in closing:
        name = done.name if done.name in ("optimizer", "jitter") else "dp_exposed"
        parts[name][done.stage] += done.duration_s
    parts["bubble"] = step_s - sum(parts.values(), start=np.zeros(n_stages))
    return StageSeconds(**parts)
