"""Every layout of a job, as columns in cache-sized chunks; what a rule forbids never gets there.

A *group* fixes tp, cp, ep and etp: these, with the micro-batch, recompute and precision, decide what a layer takes. In
a group one array runs over pipelines, data-parallel degrees, micro-batches, schedules and shardings, and recompute and
precision are two more axes of shape, so that what does not depend on them is worked out once.

Data-parallel degrees are the numbers with no prime factor above 5: within 5 % of any number, and never unlucky.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.choices import Recompute, Sharding, code
from kolossos.plan.columns import Column, LayoutColumns
from kolossos.plan.job import Job
from kolossos.plan.layers import chunk_rule
from kolossos.plan.rates.software import load_software
from kolossos.plan.rules.divisibility import divides
from kolossos.plan.rules.table import RULES
from kolossos.plan.schedules import all_schedules
from kolossos.specs.layout import Layout

MICRO_BATCHES = (1.0, 2.0, 4.0, 8.0)
SHARDS = (0.0, 8.0, 32.0, 128.0, 512.0)
"""Ranks that a sharded tensor is spread over; 0 stands for all of dp."""
SHORTEST_PIECE = 512
"""Tokens that a rank of a cp group keeps at least."""
SMALLEST_PART = 8.0
"""At least one in so many of the GPUs works."""
CHUNK = 8192
NEUTRAL = LayoutColumns(**{name: np.float64(1) for name in LayoutColumns.__dataclass_fields__})  # pyright: ignore


@dataclass(frozen=True)
class Group:
    """The degrees that a layer's time depends on; ``index`` counts the groups of a space."""

    index: int
    tp: float
    cp: float
    ep: float
    etp: float


@dataclass(frozen=True)
class Axes:
    """The values along each axis of one job's space."""

    groups: tuple[Group, ...]
    pipelines: NDArray[np.float64]
    """Rows of pp and vp."""
    dp: Column
    variants: NDArray[np.float64]
    """Rows of schedule, sharding and shard."""
    recompute: Column
    precision: Column
    least_gpus: float

    @property
    def inner(self) -> int:
        """Layouts in each row of a chunk."""
        return self.recompute.size * self.precision.size


@dataclass(frozen=True)
class Chunk:
    """Layouts of one group: rows of columns times recompute times precision, and each row's micro-batch by index."""

    group: Group
    layouts: LayoutColumns
    micro_batch: NDArray[np.intp]


def axes(job: Job) -> Axes:
    """The axes of ``job``, each already held against the rules that ask for it alone."""
    return Axes(
        groups=_groups(job),
        pipelines=_pipelines(job),
        dp=smooth_numbers(job.n_gpus),
        variants=_variants(job),
        recompute=np.array(list(Recompute), dtype=np.float64).reshape(-1, 1, 1),
        precision=np.array([float(code("precision", p)) for p in job.precisions]).reshape(1, -1, 1),
        least_gpus=job.n_gpus / SMALLEST_PART,
    )


def near(job: Job, layout: Layout) -> Axes:
    """The part of the space whose tp, cp, ep and etp are those of ``layout``, half or twice as large, in its precision
    and on no fewer GPUs."""
    space = replace(axes(replace(job, precisions=(layout.precision,))), least_gpus=float(layout.world_size))
    own = {name: getattr(layout, name) for name in ("tp", "cp", "ep", "etp")}
    close = [g for g in space.groups if all(0.5 <= getattr(g, name) / value <= 2 for name, value in own.items())]
    return replace(space, groups=tuple(replace(g, index=i) for i, g in enumerate(close)))


def smooth_numbers(limit: int) -> Column:
    """Numbers up to ``limit`` without a prime factor above 5, ascending."""
    found = {a * b * c for a in _powers(2, limit) for b in _powers(3, limit) for c in _powers(5, limit)}
    return np.array(sorted(n for n in found if n <= limit), dtype=np.float64)


def _powers(base: int, limit: int) -> list[int]:
    powers = [1]
    while powers[-1] * base <= limit:
        powers.append(powers[-1] * base)
    return powers


def _allowed(job: Job, layouts: LayoutColumns, names: str) -> NDArray[np.bool_]:
    """Where all rules hold that ask for nothing but ``names``."""
    known = set(names.split())
    bounds = job.bounds
    masks = [rule.allows(layouts, bounds) for rule in RULES if rule.axes <= known]
    return np.logical_and.reduce(np.broadcast_arrays(*masks)) if masks else np.ones(1, dtype=bool)


def _groups(job: Job) -> tuple[Group, ...]:
    tp = np.arange(1.0, min(job.nvlink_domain, job.n_gpus) + 1)
    cp = np.array([float(c) for c in _powers(2, max(min(job.seq_len // SHORTEST_PIECE, job.n_gpus), 1))])
    ep = _divisors(job.model.moe.n_experts if job.model.moe else 1)
    grid = [axis.ravel() for axis in np.meshgrid(tp, cp, ep, tp, indexing="ij")]
    layouts = replace(NEUTRAL, tp=grid[0], cp=grid[1], ep=grid[2], etp=grid[3], seq_len=np.float64(job.seq_len))
    allowed = _allowed(job, layouts, "tp cp ep etp seq_len")
    cut_as_all_else = load_software().named(job.software).etp_before_dispatch
    if cut_as_all_else:  # or not at all; and key-value heads are whole
        allowed &= (grid[3] == 1) | (grid[3] == grid[0])
        allowed &= np.mod(job.model.n_kv_heads, grid[0]) == 0
    rows = np.flatnonzero(allowed)
    return tuple(Group(i, *(float(axis[row]) for axis in grid)) for i, row in enumerate(rows))


def _divisors(number: int) -> Column:
    """Ascending; others divide no experts."""
    small = np.arange(1, int(number**0.5) + 1)
    small = small[number % small == 0]
    return np.unique(np.concatenate([small, number // small])).astype(np.float64)


def _pipelines(job: Job) -> NDArray[np.float64]:
    stages = np.arange(1, min(job.model.n_layers, job.n_gpus) + 1)
    most_chunks = np.maximum((job.model.n_layers + 2) // stages, 1)  # two may hold the embedding and the head alone
    pp = np.repeat(stages, most_chunks).astype(np.float64)
    vp = np.concatenate([np.arange(1.0, most + 1) for most in most_chunks])
    allowed = _allowed(job, replace(NEUTRAL, pp=pp, vp=vp), "pp vp")
    if not job.empty_chunks:
        rule = chunk_rule(job.model.n_layers, pp, vp)
        allowed &= rule.missing_last < rule.chunk
    return np.stack([pp[allowed], vp[allowed]])


def _variants(job: Job) -> NDArray[np.float64]:
    """Schedules of the job times shardings; without sharding there is no shard to choose."""
    levels = [level for level in Sharding if level != Sharding.NONE]
    shardings = [(float(Sharding.NONE), 1.0), *((float(level), shard) for level in levels for shard in SHARDS)]
    schedules = [code("schedule", name) for name in job.schedules]
    return np.array([(s, *sharding) for s in schedules for sharding in shardings], dtype=np.float64).T


def chunks(job: Job, space: Axes) -> Iterator[Chunk]:
    """All layouts of the space that keep every rule.

    Those that gather parameters in every pass come apart: their formula is longer, and the others need not pay for it.
    """
    streamed = space.variants[1] == Sharding.PARAMETERS
    halves = [replace(space, variants=space.variants[:, chosen]) for chosen in (~streamed, streamed)]
    for group, half in product(space.groups, halves):
        columns, micro = _rows(job, half, group)
        for start in range(0, micro.size, CHUNK):
            piece = slice(start, start + CHUNK)
            part = {name: column[piece] for name, column in columns.items()}
            yield Chunk(group, _layouts(job, space, group, part), micro[piece])


def _layouts(job: Job, space: Axes, group: Group, columns: dict[str, Column]) -> LayoutColumns:
    return LayoutColumns(
        tp=np.float64(group.tp),  # pyright: ignore[reportArgumentType]
        cp=np.float64(group.cp),  # pyright: ignore[reportArgumentType]
        ep=np.float64(group.ep),  # pyright: ignore[reportArgumentType]
        etp=np.float64(group.etp),  # pyright: ignore[reportArgumentType]
        seq_len=np.float64(job.seq_len),  # pyright: ignore[reportArgumentType]
        recompute=space.recompute,
        precision=space.precision,
        **columns,
    )


def _rows(job: Job, space: Axes, group: Group) -> tuple[dict[str, Column], NDArray[np.intp]]:
    """Columns of a group, axis by axis, each masked before the next multiplies it."""
    pp, vp, dp = _meshes(job, space, group)
    unit = np.where(vp > 1, pp, 1.0)[:, None] * dp[:, None] * np.array(MICRO_BATCHES)
    batch = np.maximum(np.rint(job.batch / unit), 1.0) * unit
    mesh, micro = np.nonzero(np.abs(batch - job.batch) <= job.batch_slack * job.batch)
    batch, pp, vp, dp = batch[mesh, micro], pp[mesh], vp[mesh], dp[mesh]
    n_micro = batch / (dp * np.array(MICRO_BATCHES)[micro])
    row, variant = np.nonzero(_variant_mask(space, group, pp, vp, dp, n_micro))
    schedule, sharding, shard = space.variants[:, variant]
    dp, batch, pp, vp = dp[row], batch[row], pp[row], vp[row]
    shard = np.where(shard == 0, dp, shard)
    columns = {
        "pp": pp,
        "vp": vp,
        "dp_shard": shard,
        "dp_replicate": dp / shard,
        "micro_batch_size": np.array(MICRO_BATCHES)[micro[row]],
        "global_batch_size": batch,
        "schedule": schedule,
        "sharding": sharding,
    }
    return columns, micro[row]


def _meshes(job: Job, space: Axes, group: Group) -> tuple[Column, Column, Column]:
    """pp, vp and dp of the meshes of a group that use enough of the GPUs, and not more than there are."""
    (pp, vp), dp = space.pipelines, space.dp
    world = group.tp * group.cp * pp[:, None] * dp
    fits = (world <= job.n_gpus) & (world >= space.least_gpus)
    fits &= divides(group.ep * group.etp, group.tp * group.cp * dp)
    pipeline, degree = np.nonzero(fits)
    return pp[pipeline], vp[pipeline], dp[degree]


def _variant_mask(space: Axes, group: Group, pp: Column, vp: Column, dp: Column, n_micro: Column) -> NDArray[np.bool_]:
    schedule, sharding, shard = space.variants
    allowed = np.ones((1, 1), dtype=bool)
    for one in all_schedules():
        if one.needs:
            allowed = allowed & (one.allows(pp, vp)[:, None] | (schedule != one.code))
    some = (shard > 0) & (shard < dp[:, None]) & divides(np.maximum(shard, 1.0), dp[:, None])
    whole = (shard == 0) & ((dp[:, None] > 1) | (group.cp > 1))
    priced = (sharding != Sharding.GRADIENTS) | (n_micro <= 1)[:, None]
    return allowed & priced & ((sharding == Sharding.NONE) | some | whole)
