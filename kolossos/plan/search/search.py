"""Search the whole space of a job: price every layout that can be, keep the best, the runners-up and the front.

A layout's price here is the closed form's: step time and memory, and from them energy. What it loses to is kept too:
the best layout for every value of every axis, and the one that needs least memory, for when nothing fits.
"""

import time

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.closed_form.memory import memory_with
from kolossos.plan.closed_form.step import step_totals
from kolossos.plan.columns import Column
from kolossos.plan.job import Job
from kolossos.plan.search.energy import energy_per_second
from kolossos.plan.search.layer_table import LayerTable, layer_table
from kolossos.plan.search.pareto import Front
from kolossos.plan.search.prices import ChunkPrices, Found, Row, choice
from kolossos.plan.search.space import Axes, Chunk, axes, chunks

OBJECTIVES = ("time", "cost", "energy")
COMPARED = ("tp", "pp", "vp", "cp", "ep", "etp", "micro_batch_size", "recompute", "precision", "schedule", "sharding")
"""Axes whose other values a search keeps the best layout of."""


def search(job: Job, objective: str = "time", space: Axes | None = None) -> Found:
    """Price the whole space of ``job``, or a part of it; the best is the cheapest per token in ``objective``."""
    start = time.perf_counter()
    space = axes(job) if space is None else space
    keep = _Keep(job, objective)
    if space.groups and space.precision.size:
        table = layer_table(job, space)
        for chunk in chunks(job, space):
            keep.look(price(job, table, chunk), chunk)
    return keep.found(time.perf_counter() - start)


def price(job: Job, table: LayerTable, chunk: Chunk) -> ChunkPrices:
    """Step time, memory, energy and cost of a chunk."""
    layer = table.take(chunk.group.index, chunk.micro_batch)
    layouts, setting = chunk.layouts, job.setting(chunk.layouts)
    totals = step_totals(layer.totals, setting)
    per_rank = layer.computing * setting.stages.mean_layers + layer.head_computing / layouts.pp
    busy = per_rank * layouts.micro_batches + totals.optimizer
    waiting, computing = energy_per_second(job.gpu, job.power)
    tokens = layouts.global_batch_size * job.seq_len
    gpus_per_token = layouts.world / tokens
    return ChunkPrices(
        layouts=layouts,
        step=totals.step,
        memory=memory_with(layer.activations, setting, totals.held).total,
        seconds_per_token=totals.step / tokens,
        joules_per_token=gpus_per_token * (totals.step * waiting + busy * computing),
        usd_per_token=totals.step * (gpus_per_token * (job.usd_per_gpu_hour / 3600.0)),
    )


class _Keep:
    """What a search remembers of the chunks that pass by."""

    def __init__(self, job: Job, objective: str) -> None:
        self.per_token = {"time": "seconds_per_token", "cost": "usd_per_token", "energy": "joules_per_token"}[objective]
        self.capacity = job.usable_bytes
        self.by_axis: dict[tuple[str, int], tuple[float, Row]] = {}
        self.front = Front()
        self.leanest: Row | None = None
        self.least_bytes = np.inf
        self.priced = self.fitting = 0

    def look(self, priced: ChunkPrices, chunk: Chunk) -> None:
        """Take from one chunk what is better than anything before."""
        fits = priced.memory <= self.capacity
        self.priced += priced.step.size
        self.fitting += int(np.count_nonzero(fits)) * (priced.step.size // fits.size)
        self._lean(priced)
        if not fits.any():
            return
        value = np.where(fits, getattr(priced, self.per_token), np.inf)
        self._compare(priced, value, chunk)
        self.front.look(priced, fits)

    def _lean(self, priced: ChunkPrices) -> None:
        least = int(np.argmin(priced.memory))
        if priced.memory.flat[least] < self.least_bytes:
            self.least_bytes = float(priced.memory.flat[least])
            self.leanest = priced.row(tuple(int(i) for i in np.unravel_index(least, priced.memory.shape)))

    def _compare(self, priced: ChunkPrices, value: Column, chunk: Chunk) -> None:
        for name in ("tp", "cp", "ep", "etp"):
            self._champion(name, int(getattr(chunk.group, name)), priced, value, (0, 0, 0))
        for axis, name in enumerate(("recompute", "precision")):
            for i, code in enumerate(np.ravel(getattr(chunk.layouts, name))):
                corner = (i, 0, 0) if axis == 0 else (0, i, 0)
                part = value[i : i + 1] if axis == 0 else value[:, i : i + 1]
                self._champion(name, int(code), priced, part, corner)
        by_row = value.min(axis=(0, 1))
        for name in ("pp", "vp", "micro_batch_size", "schedule", "sharding"):
            self._champions_of_rows(name, getattr(chunk.layouts, name).astype(np.intp), by_row, priced, value)

    def _champions_of_rows(
        self, name: str, codes: NDArray[np.intp], by_row: Column, priced: ChunkPrices, value: Column
    ) -> None:
        known = np.array([self._known(name, code) for code in range(1 + int(codes.max()))])
        rows = np.flatnonzero(by_row < known[codes])
        for code in np.unique(codes[rows]):
            of_code = rows[codes[rows] == code]
            row = int(of_code[np.argmin(by_row[of_code])])
            self._champion(name, int(code), priced, value[:, :, row : row + 1], (0, 0, row))

    def _known(self, name: str, code: int) -> float:
        return self.by_axis.get((name, code), (np.inf,))[0]

    def _champion(self, name: str, code: int, priced: ChunkPrices, part: Column, corner: tuple[int, int, int]) -> None:
        """``part`` of the chunk, which begins at ``corner``, may hold the best so far with ``name`` = ``code``."""
        place = int(np.argmin(part))
        lowest = float(part.flat[place])
        if lowest < self._known(name, code):
            index = np.unravel_index(place, part.shape)
            self.by_axis[name, code] = (
                lowest,
                priced.row(tuple(int(i) + c for i, c in zip(index, corner, strict=True))),
            )

    def found(self, seconds: float) -> Found:
        """The outcome."""
        best = min(self.by_axis.values(), default=None)
        return Found(
            best=choice(best[1]) if best else None,
            by_axis={key: choice(row) for key, (_, row) in self.by_axis.items()},
            front=[choice(row) for row in self.front.rows()],
            leanest=choice(self.leanest) if self.leanest else None,
            priced=self.priced,
            fitting=self.fitting,
            seconds=seconds,
        )
