"""1F1B (PipeDream-flush) and its interleaved form: arXiv:2104.04473, sections 2.2.1 and 2.2.2.

The closed form holds for uneven stages too. Chunks are equal but for a layer less at the first and at the last, and
the head behind the last. A stage s that never waits once it has begun takes: until its first input arrives, its work
for every micro-batch, what it must wait for the stages behind it, and what the stages before it still do after it. The
step is the longest of these; the two that can be are the last stage and the one before it. Exact for 1F1B, and, where
all stages but the last are alike, for zero-bubble H1; ``events`` plays the same and is the test.
"""

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.columns import Column, LayoutColumns
from kolossos.plan.layers import Stages
from kolossos.plan.schedules.schedule import InFlight, Orders, Schedule, StagePasses
from kolossos.plan.schedules.tasks import BACKWARD, FORWARD, Task, passes_in_turn
from kolossos.plan.setting import Setting


class OneForwardOneBackward(Schedule):
    """After a warm-up, each stage does one forward and one backward in turn."""

    name = "1f1b"

    def pipeline_seconds(self, passes: StagePasses, stage: Stages, setting: Setting) -> Column:
        """The longer of the ways through the last stage and through the one before it."""
        layout, n = setting.layout, setting.layout.micro_batches
        f, b, w = passes.forward, passes.backward, passes.weight_gradient
        first, at_last = stage.layers_first / stage.layers, stage.layers_last / stage.layers
        before = (layout.pp - 1.0) / layout.vp - (1.0 - first)
        drained = np.maximum(b * before - w * (np.minimum(n, layout.pp) * at_last - first), 0.0)
        seconds = f * before + drained + ((f + b + w) * at_last + passes.head) * n
        if np.any(passes.embedding):
            seconds = _with_embedding(seconds, passes, first, setting)
        uneven = (layout.pp > 1) & ((first < 1.0) | (at_last < 1.0))
        if uneven.ndim != 1:
            return np.where(uneven, np.maximum(seconds, _through_other(passes, stage, setting.layout)), seconds)
        rows = np.flatnonzero(uneven)
        if rows.size:
            part, columns = StagePasses(**_rows(passes, rows)), LayoutColumns(**_rows(setting.layout, rows))
            other = _through_other(part, Stages(**_rows(stage, rows)), columns)
            seconds[..., rows] = np.maximum(seconds[..., rows], other)
        return seconds

    def hops_that_show(self, setting: Setting) -> Column:
        """A blocking send holds its stage: two a micro-batch and chunk (one between only two stages), and those of
        filling and draining. Interleaved schedules that overlap sends hide all but those of filling and draining,
        where each group of micro-batches waits at every one of the pp x vp chunks."""
        layout = setting.layout
        pp, vp, n = layout.pp, layout.vp, layout.micro_batches
        hidden = 2.0 * (pp * vp - 1.0)
        divided = (2.0 * vp - np.where(pp > 2, 0.0, 1.0)) * n + 2.0 * (pp - 1.0)
        undivided = np.where(pp > 2, 2.0, 1.0) * (n - 1.0) + 2.0 * (pp - 1.0)
        blocking = np.where(vp > 1, divided, undivided)
        overlapped = (setting.software.pp_overlap > 0) & (vp > 1)
        return np.where(overlapped, hidden, blocking) * (pp > 1)

    def in_flight(self, layout: LayoutColumns) -> InFlight:
        """Korthikanti et al. (arXiv:2205.05198, section 4.2.3)."""
        interleaved = layout.vp > 1
        first = np.minimum(layout.pp, layout.micro_batches) * np.where(
            interleaved, 1.0 + (layout.pp - 1.0) / (layout.pp * layout.vp), 1.0
        )
        last = np.where(interleaved, ((layout.vp - 1.0) * layout.pp + 1.0) / layout.vp, 1.0)
        return InFlight(first, np.minimum(first, last))

    def alive_on(self, stage: int, pp: int, vp: int, n_micro: int) -> float:
        """What the warm-up lets in, and one more."""
        if vp == 1:
            return float(min(pp - stage, n_micro))
        chunks = min(_warm_up(stage, pp, vp) + 1, n_micro * vp)
        return min(chunks / vp, pp + (pp - 1) / vp)

    def orders(self, pp: int, vp: int, n_micro: int) -> list[Orders]:
        """One: forward passes up to the warm-up, then forward and backward in turn."""
        return [[stage_order(stage, pp, vp, n_micro) for stage in range(pp)]]


def stage_order(stage: int, pp: int, vp: int, n_micro: int) -> list[Task]:
    """Everything that ``stage`` does in one step, first to last."""
    forward, backward = passes_in_turn(pp, vp, n_micro, FORWARD), passes_in_turn(pp, vp, n_micro, BACKWARD)
    ahead = min(_warm_up(stage, pp, vp), len(forward))
    order = forward[:ahead]
    for done, task in enumerate(backward):
        order += forward[ahead + done : ahead + done + 1]
        order.append(task)
    return order


def _warm_up(stage: int, pp: int, vp: int) -> int:
    """Forward passes before the first backward pass (arXiv:2104.04473, sections 2.2.1 and 2.2.2)."""
    return pp - stage - 1 if vp == 1 else 2 * (pp - stage - 1) + (vp - 1) * pp


def _rows(columns: object, rows: NDArray[np.intp]) -> dict[str, Column]:
    """The rows of whatever has a value for each row, along the last axis."""
    return {name: c if c.ndim == 0 or c.shape[-1] == 1 else c[..., rows] for name, c in vars(columns).items()}


def _with_embedding(through_last: Column, passes: StagePasses, first: Column, setting: Setting) -> Column:
    """The same where the first stage has more to do than its layers: once on the way, or for every micro-batch."""
    layout, n = setting.layout, setting.layout.micro_batches
    more = passes.embedding
    once = through_last + more * np.where(layout.pp > 1, 1.0, n)
    f, b, w = passes.forward, passes.backward, passes.weight_gradient
    filled = np.maximum(b + np.maximum(f - w, 0.0) - more, 0.0) * ((layout.pp - 1.0) / layout.vp)
    through_first = ((f + b + w) * first + more) * n + filled
    return np.where(more > 0, np.maximum(once, through_first), through_last)


def _through_other(passes: StagePasses, stage: Stages, layout: LayoutColumns) -> Column:
    """The stage before the last one, full, where the last lacks a layer; it also waits for the last one's first
    answer, and for its last."""
    n = layout.micro_batches
    f, b, w = passes.forward, passes.backward, passes.weight_gradient
    whole, deep = f + b + w, layout.pp > 2
    first, at_last = stage.layers_first / stage.layers, stage.layers_last / stage.layers
    share = np.where(deep, 1.0, first)
    before = np.where(deep, (layout.pp - 2.0) / layout.vp - (1.0 - first), 0.0)
    drained = np.maximum(b * before - w * (np.minimum(n, layout.pp - 1.0) * share - first), 0.0)
    chunk = whole * (at_last - 1.0 + 1.0 / layout.vp) + passes.head
    trip = chunk - w * at_last
    undivided = np.maximum(trip - f * share, 0.0) + np.maximum(trip - (b + w) * share, 0.0)
    divided = np.maximum(np.maximum(chunk - f * (2.0 / layout.vp), b / layout.vp - chunk), 0.0)
    waits = np.where(layout.vp > 1, divided, undivided) * (n > 1)
    return f * before + whole * (n * share) + drained + waits


SCHEDULE = OneForwardOneBackward()
