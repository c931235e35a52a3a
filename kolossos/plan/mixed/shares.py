"""Data-parallel shares: each kind of GPU runs replicas of one layout, with micro-batches by its speed."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.choices import Recompute, Sharding
from kolossos.plan.closed_form.layer_kernels import layer_kernels
from kolossos.plan.closed_form.memory import memory_bytes
from kolossos.plan.closed_form.step import step_seconds
from kolossos.plan.columns import LayoutColumns
from kolossos.plan.job import Job
from kolossos.plan.mixed.contribution import Contribution, Split
from kolossos.plan.search.layout_parts import part_names
from kolossos.plan.search.space import MICRO_BATCHES, smooth_numbers
from kolossos.specs.layout import Layout

RECOMPUTES = tuple(float(one) for one in Recompute)


@dataclass(frozen=True)
class _Kind:
    """One kind in one layout: time is fixed + each * micro-batches, for its best micro-batch and recompute."""

    dp: int
    micro_batch: float
    recompute: float
    fixed: float
    each: float


def shares_of(jobs: list[Job], candidates: list[Layout]) -> Split | None:
    """The best split by data-parallel shares over all ``candidates``; None where none fits on every kind."""
    best: tuple[float, Layout, LayoutColumns, list[_Kind], NDArray[np.float64]] | None = None
    for layout in candidates:
        degrees = [_degree(job, layout) for job in jobs]
        if 0 in degrees:
            continue
        columns = LayoutColumns.of(layout)
        kinds = [_kind(job, columns, dp, sum(degrees)) for job, dp in zip(jobs, degrees, strict=True)]
        if any(kind is None for kind in kinds):
            continue
        known = [kind for kind in kinds if kind]
        split = _balance(jobs[0], layout, known)
        if split and (best is None or split[0] < best[0]):
            best = (split[0], layout, columns, known, split[1])
    return _split(jobs, *best[1:]) if best else None


def _degree(job: Job, layout: Layout) -> int:
    """Replicas of ``layout`` that the kind has GPUs for, with whole groups of experts among them."""
    base = layout.tp * layout.pp * layout.cp
    numbers = smooth_numbers(max(job.n_gpus // base, 1))
    whole = (layout.tp * layout.cp * numbers) % (layout.ep * layout.etp) == 0
    usable = numbers[whole & (numbers * base <= job.n_gpus)]
    return int(usable[-1]) if usable.size else 0


def _columns(
    candidate: LayoutColumns, dp_total: int, micro_batches: float | np.ndarray, sizes: np.ndarray, recompute: np.ndarray
) -> LayoutColumns:
    """Rows of ``candidate`` whose replicas are ``dp_total`` and whose pipelines run ``micro_batches`` micro-batches."""
    shard = 1.0 if candidate.sharding == Sharding.NONE else float(dp_total)
    values = {f.name: getattr(candidate, f.name) for f in fields(candidate)}
    values |= {"dp_shard": np.float64(shard), "dp_replicate": np.float64(dp_total / shard)}
    values |= {"micro_batch_size": sizes, "recompute": recompute}
    values |= {"global_batch_size": micro_batches * sizes * dp_total}
    return LayoutColumns(**{name: np.broadcast_to(value, sizes.shape) for name, value in values.items()})


def _kind(job: Job, candidate: LayoutColumns, dp: int, dp_total: int) -> _Kind | None:
    """The micro-batch and recompute that make this kind fastest, among those that fit."""
    sizes, recompute = (axis.ravel() for axis in np.meshgrid(MICRO_BATCHES, RECOMPUTES, indexing="ij"))
    typical = np.maximum(job.batch / dp_total / sizes, 1.0)
    low, high = (np.maximum(np.floor(typical), 1.0) + add for add in (0.0, 1.0))
    seconds = []
    for micro_batches in (low, high):
        setting = job.setting(_columns(candidate, dp_total, micro_batches, sizes, recompute))
        kernels = layer_kernels(setting.model, setting.hardware, setting.layout)
        seconds.append(step_seconds(kernels, setting).step)
    each = seconds[1] - seconds[0]
    fits = memory_bytes(setting).total <= job.usable_bytes
    value = np.where(fits & (each > 0), seconds[0] + each * (typical - low), np.inf)
    row = int(np.argmin(value))
    if not np.isfinite(value[row]):
        return None
    return _Kind(dp, sizes[row], recompute[row], float(seconds[0][row] - each[row] * low[row]), float(each[row]))


def _balance(job: Job, layout: Layout, kinds: list[_Kind]) -> tuple[float, NDArray[np.float64]] | None:
    """(seconds a sequence, micro-batches of each kind): the batch within its slack that ends soonest on all."""
    unit = float(layout.pp if layout.vp > 1 else 1)
    most = [job.batch * (1 + job.batch_slack) / (k.micro_batch * k.dp) for k in kinds]
    ends = np.unique(
        np.concatenate([k.fixed + k.each * np.arange(unit, m + 1, unit) for k, m in zip(kinds, most, strict=True)])
    )
    if not ends.size:
        return None
    each = np.stack([np.floor((ends - k.fixed) / k.each / unit + 1e-9) * unit for k in kinds])
    weights = np.array([[k.micro_batch * k.dp] for k in kinds])
    batch = (each * weights).sum(axis=0)
    good = (np.abs(batch - job.batch) <= job.batch_slack * job.batch) & (each >= 1).all(axis=0)
    if not good.any():
        return None
    value = np.where(good, ends / np.maximum(batch, 1.0), np.inf)
    place = int(np.argmin(value))
    return float(value[place]), each[:, place]


def _split(
    jobs: list[Job], layout: Layout, candidate: LayoutColumns, kinds: list[_Kind], each: NDArray[np.float64]
) -> Split:
    dp_total = sum(kind.dp for kind in kinds)
    batch = sum(m * k.micro_batch * k.dp for m, k in zip(each, kinds, strict=True))
    parts: list[Contribution] = []
    for job, kind, micro_batches in zip(jobs, kinds, each, strict=True):
        one = np.array([kind.micro_batch]), np.array([kind.recompute])
        columns = _columns(candidate, dp_total, float(micro_batches), *one)
        setting = job.setting(columns)
        step = step_seconds(layer_kernels(setting.model, setting.hardware, columns), setting)
        base = layout.tp * layout.pp * layout.cp
        shard = 1 if layout.sharding == "none" else kind.dp
        own = columns.layout(0).model_copy(
            update={
                "dp_shard": shard,
                "dp_replicate": kind.dp // shard,
                "global_batch_size": int(micro_batches * kind.micro_batch * kind.dp),
            }
        )
        parts.append(
            Contribution(
                gpu=job.gpu.name,
                n_gpus=kind.dp * base,
                n_idle=job.n_gpus - kind.dp * base,
                layout=own,
                share_of_tokens=float(micro_batches * kind.micro_batch * kind.dp / batch),
                step_time_s=float(step.step[0]),
                busy_share=float(step.busy[0] / step.step[0]),
                memory_bytes=float(memory_bytes(setting).total[0]),
                memory_of=job.gpu.memory_bytes,
                parts={name: float(np.ravel(getattr(step, name))[0]) for name in part_names(step)},
            )
        )
    slowest = max(part.step_time_s for part in parts)
    return slowest, batch * layout.seq_len, parts
