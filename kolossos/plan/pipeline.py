"""How long a pipeline takes from its first forward to its last backward, in closed form, for uneven stages too.

Chunks are equal but for a layer less at the first and at the last, and the head behind the last. A stage s that never
waits once it has begun takes: until its first input arrives, its work for every micro-batch, what it must wait for
the stages behind it, and what the stages before it still do after it. The step is the longest of these; the two that
can be are the last stage and the one before it. Exact for 1F1B (arXiv:2104.04473, section 2.2) and, where all stages
but the last are alike, for zero-bubble H1 (arXiv:2401.10241, section 3.1); ``events`` plays the same and is the test.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.blocks import Setting
from kolossos.plan.collectives import send_seconds
from kolossos.plan.columns import Column, LayoutColumns
from kolossos.plan.work import BF16_BYTES, tokens


@dataclass(frozen=True)
class Stages:
    """How the layers fall on the pipeline: the fullest stage, the first, the last, and the mean."""

    layers: Column
    layers_first: Column
    layers_last: Column
    mean_layers: Column


def stages(setting: Setting) -> Stages:
    """Chunks are whole layers: ceil(layers / (pp vp)) a chunk; what is missing is missing at both ends, where the
    embedding and the head make up for it."""
    layers, layout = setting.model.n_layers, setting.layout
    chunk = np.ceil(layers / (layout.pp * layout.vp) - 1e-9)
    full = chunk * layout.vp
    missing = full * layout.pp - layers
    last = np.maximum(full - np.ceil(missing / 2), 0.0)
    first = np.maximum(full - np.floor(missing / 2), 0.0)
    full, first, last = (np.where(layout.pp > 1, column, layers) for column in (full, first, last))
    return Stages(full, first, last, layers / layout.pp)


@dataclass(frozen=True)
class StagePasses:
    """Seconds of one micro-batch on the fullest stage, all its chunks together."""

    forward: Column
    backward: Column
    """Without weight gradients if these are passes of their own."""
    weight_gradient: Column
    """0 but in zero-bubble schedules."""
    head: Column
    """What the last stage does more, forward and backward."""
    embedding: Column
    """What the first stage does more (the traffic of its matrix, under FSDP)."""


def pipeline_seconds(passes: StagePasses, stage: Stages, setting: Setting) -> Column:
    """From the first forward to the last backward of ``micro_batches``, hops not counted."""
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


def hop_seconds(setting: Setting) -> Column:
    """A micro-batch's activations (or their gradients) from stage to stage, each tp rank its part (arXiv:2104.04473,
    section 4.1)."""
    layout = setting.layout
    size = tokens(layout) * setting.model.dim * BF16_BYTES / layout.tp
    return send_seconds(size, layout.tp * layout.cp * layout.dp, setting.hardware)


def hops_that_show(setting: Setting) -> Column:
    """How many hops a step waits for.

    A blocking send holds its stage: two a micro-batch and chunk (one between only two stages), and those of filling
    and draining. Interleaved schedules that overlap sends hide all but those of filling and draining, where each
    group of micro-batches waits at every one of the pp x vp chunks.
    """
    layout = setting.layout
    pp, vp, n = layout.pp, layout.vp, layout.micro_batches
    hidden = 2.0 * (pp * vp - 1.0)
    divided = (2.0 * vp - np.where(pp > 2, 0.0, 1.0)) * n + 2.0 * (pp - 1.0)
    undivided = np.where(pp > 2, 2.0, 1.0) * (n - 1.0) + 2.0 * (pp - 1.0)
    blocking = np.where(vp > 1, divided, undivided)
    overlapped = (setting.software.pp_overlap > 0) & (vp > 1)
    return np.where(overlapped, hidden, blocking) * (pp > 1)
