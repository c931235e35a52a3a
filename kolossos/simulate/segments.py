"""Uptime between stops, and how much of it is kept: checkpoints done, work lost behind the last one, rollbacks.

Every run of the job between two stops is one segment. Checkpoints follow each other in cycles of compute and blocking;
one counts once its background write is done. Policies with two tiers (peers' memory, or living replicas, over a store)
lose little after a near failure and go back to the store's newest checkpoint after the others.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.simulate.phases import Phase, phase_at
from kolossos.simulate.piecewise import Array, Axis, StepFunction
from kolossos.simulate.spec import OperationSpec
from kolossos.simulate.stops import CRASH, END, NONE, Stops

GRACE = 1e-6
"""Against rounding where a stop falls on a checkpoint to the microsecond."""


@dataclass(frozen=True)
class Cycle:
    """Checkpointing in one phase: compute, stand for ``blocking_s``, usable ``background_s`` later."""

    compute_s: float
    blocking_s: float
    background_s: float
    store_every_s: float | None
    """Grid of the second tier's store checkpoints, in seconds of the run; None: the store is the only tier."""

    @property
    def length_s(self) -> float:
        """Seconds from one checkpoint to the next."""
        return self.compute_s + self.blocking_s


@dataclass(frozen=True)
class Segments:
    """Uptime, by key. Work up to ``kept_until`` survives the stop at ``end``, unless a rollback takes it later."""

    start: Array
    end: Array
    kept_until: Array
    compute_s: Array
    """Seconds of computing in [start, end]."""
    kept_compute_s: Array
    phase: Array
    replicate: Array
    undone_by_sdc: StepFunction
    undone: StepFunction
    """1 where a rollback (silent corruption, or to the store) later takes the work back."""


def cycle_of(spec: OperationSpec, phase: Phase, interval_s: float) -> Cycle:
    """The checkpoint cycle of a phase; intervals are whole steps and never shorter than the background write."""
    saving = spec.checkpoint
    step = phase.step_time_s
    interval = max(interval_s, saving.background)
    steps = max(round(interval / step), int(np.ceil(saving.background / step - 1e-9)), 1)
    if spec.recovery.policy == "store":
        return Cycle(steps * step, saving.blocking, saving.background, None)
    heals = spec.recovery.policy == "shrink-and-heal"  # living replicas hold every step
    near = step if heals else max(round(saving.peer_interval / step), 1) * step
    blocking = 0.0 if heals else saving.peer_blocking_s
    spread = saving.blocking * near / interval  # the store's blocking part, spread evenly over the near cycles
    return Cycle(near, blocking + spread, saving.background, interval)


def segments_of(spec: OperationSpec, fleet: list[Phase], axis: Axis, stops: Stops, interval_s: float) -> Segments:
    """All segments with their kept part and the rollbacks."""
    cycles = [cycle_of(spec, phase, interval_s) for phase in fleet]
    tiers = cycles[0].store_every_s is not None
    up = np.maximum.accumulate(stops.ready)[:-1]
    end = stops.at[1:]
    runs = (up < end) & (stops.kind[:-1] != END)
    start, end, after = up[runs], end[runs], np.flatnonzero(runs) + 1
    replicate = (start // axis.stride).astype(np.int64)
    phase = phase_at(fleet, start - axis.starts[replicate])
    tau, length, background = (
        np.array([getattr(c, name) for c in cycles])[phase] for name in ("compute_s", "length_s", "background_s")
    )
    whole = _floor((end - start) / length)
    compute = whole * tau + np.clip(end - start - whole * length, 0.0, tau)
    usable = np.clip(_floor((end - start - (0.0 if tiers else background)) / length), 0, whole)
    crash = stops.kind[after] == CRASH
    kept_until = np.where(crash, np.minimum(start + usable * length, end), end)
    kept_compute = np.where(crash, usable * tau, compute)
    last_saved = None
    if tiers:
        every = cycles[0].store_every_s
        assert every is not None
        last_saved = _last_saved(axis, start, end, replicate, every, background, ~crash)
    sdc = _rollback(stops, axis, start, end, kept_until, length, last_saved, cycles[0].store_every_s)
    undone_by_sdc = StepFunction.from_intervals(*sdc).covered()
    undone = undone_by_sdc
    if last_saved is not None:
        far = crash & ~stops.fine[after] & (stops.corrupt_since[after] < 0)
        since = np.concatenate((sdc[0], last_saved[far]))
        undone = StepFunction.from_intervals(since, np.concatenate((sdc[1], end[far]))).covered()
    return Segments(start, end, kept_until, compute, kept_compute, phase, replicate, undone_by_sdc, undone)


def _floor(count: Array) -> Array:
    return np.floor(count + GRACE)


def _last_saved(
    axis: Axis, start: Array, end: Array, replicate: Array, every_s: float, background_s: Array, planned: Array
) -> Array:
    """Key of the newest store checkpoint that is complete at each segment's end (the run's start, if none is)."""
    origin = axis.starts[replicate]
    newest = origin + _floor((end - background_s - origin) / every_s) * every_s
    newest = np.where(planned, end, np.where(newest >= start - GRACE, newest, origin))
    return np.maximum.accumulate(newest)


def _rollback(
    stops: Stops,
    axis: Axis,
    start: Array,
    end: Array,
    kept_until: Array,
    length: Array,
    last_saved: Array | None,
    every_s: float | None,
) -> tuple[Array, Array]:
    """From which checkpoint until when work is undone by each silent corruption that was found.

    A device that corrupts does so until it is found, so nothing computed in between is sound, whatever else failed
    meanwhile; training goes back to the newest checkpoint from before the first wrong result.
    """
    silent = (stops.kind == CRASH) & (stops.corrupt_since > NONE)
    since, found = stops.corrupt_since[silent], stops.at[silent]
    place = np.maximum(np.searchsorted(start, since, side="right") - 1, 0)
    if not len(start):
        return since, found
    inside = (since >= start[place]) & (since < end[place])
    if last_saved is None or every_s is None:
        cycles = _floor((since - start[place]) / length[place])
        clean = np.minimum(start[place] + cycles * length[place], kept_until[place])
        return np.where(inside, clean, since), found
    origin = axis.starts[(since // axis.stride).astype(np.int64)]
    grid = origin + _floor((since - origin) / every_s) * every_s
    before = np.where(place > 0, last_saved[np.maximum(place - 1, 0)], origin)
    before = np.where(inside, np.maximum(before, origin), np.maximum(last_saved[place], origin))
    in_segment = np.minimum(grid, last_saved[place])
    clean = np.where(inside & (in_segment >= start[place] - GRACE), in_segment, before)
    return np.minimum(clean, since), found
