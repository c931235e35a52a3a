"""Uptime between stops, and how much of it is kept: checkpoints done, work lost behind the last one, rollbacks.

Every run of the job between two stops is one segment. Checkpoints follow each other in cycles of compute and blocking;
one counts once its background write is done. Policies with two tiers (copies near the job, over a store) lose little
after a near failure and go back to the store's newest checkpoint after the others.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.simulate.engine.stops import CRASH, END, NONE, Stops
from kolossos.simulate.fleet import Phase, phase_on
from kolossos.simulate.piecewise import Array, Axis, StepFunction
from kolossos.simulate.scenario import Scenario

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


@dataclass(frozen=True)
class _Runs:
    """The stretches in which the job runs, by key, with the cycle of checkpoints in each."""

    start: Array
    end: Array
    replicate: Array
    length_s: Array
    background_s: Array


@dataclass(frozen=True)
class _Store:
    """The store as second tier: a checkpoint ``every_s``, and the newest complete one at the end of each run."""

    every_s: float
    last_saved: Array


def cycle_of(scenario: Scenario, phase: Phase, interval_s: float) -> Cycle:
    """The checkpoint cycle of a phase; intervals are whole steps and never shorter than the background write."""
    saving, copies = scenario.spec.checkpoint, scenario.policy.copies
    step = phase.step_time_s
    interval = max(interval_s, saving.background)
    steps = max(round(interval / step), int(np.ceil(saving.background / step - 1e-9)), 1)
    if copies is None:
        return Cycle(steps * step, saving.blocking, saving.background, None)
    near = copies(saving, step)
    spread = saving.blocking * near.every_s / interval  # the store's blocking part, spread evenly over the near cycles
    return Cycle(near.every_s, near.blocking_s + spread, saving.background, interval)


def segments_of(scenario: Scenario, axis: Axis, stops: Stops, interval_s: float) -> Segments:
    """All segments with their kept part and the rollbacks."""
    cycles = [cycle_of(scenario, phase, interval_s) for phase in scenario.phases]
    store_every_s = cycles[0].store_every_s
    up = np.maximum.accumulate(stops.ready)[:-1]
    runs = (up < stops.at[1:]) & (stops.kind[:-1] != END)
    start, end, after = up[runs], stops.at[1:][runs], np.flatnonzero(runs) + 1
    phase = phase_on(scenario.phases, axis, start)
    tau, length, background = (
        np.array([getattr(c, name) for c in cycles])[phase] for name in ("compute_s", "length_s", "background_s")
    )
    running = _Runs(start, end, axis.replicate(start), length, background)
    whole = _floor((end - start) / length)
    compute = whole * tau + np.clip(end - start - whole * length, 0.0, tau)
    late = background if store_every_s is None else 0.0
    usable = np.clip(_floor((end - start - late) / length), 0, whole)
    crash = stops.kind[after] == CRASH
    kept_until = np.where(crash, np.minimum(start + usable * length, end), end)
    kept_compute = np.where(crash, usable * tau, compute)
    store = None if store_every_s is None else _Store(store_every_s, _last_saved(axis, running, store_every_s, ~crash))
    since, found = _rollback(stops, axis, running, kept_until, store)
    undone_by_sdc = StepFunction.from_intervals(since, found).covered()
    undone = undone_by_sdc
    if store is not None:
        far = crash & ~stops.fine[after] & (stops.corrupt_since[after] < 0)
        since, found = np.concatenate((since, store.last_saved[far])), np.concatenate((found, end[far]))
        undone = StepFunction.from_intervals(since, found).covered()
    return Segments(start, end, kept_until, compute, kept_compute, phase, running.replicate, undone_by_sdc, undone)


def _floor(count: Array) -> Array:
    return np.floor(count + GRACE)


def _last_saved(axis: Axis, runs: _Runs, every_s: float, planned: Array) -> Array:
    """Key of the newest store checkpoint that is complete at each run's end (the start of all, if none is)."""
    origin = axis.starts[runs.replicate]
    newest = origin + _floor((runs.end - runs.background_s - origin) / every_s) * every_s
    newest = np.where(planned, runs.end, np.where(newest >= runs.start - GRACE, newest, origin))
    return np.maximum.accumulate(newest)


def _rollback(stops: Stops, axis: Axis, runs: _Runs, kept_until: Array, store: _Store | None) -> tuple[Array, Array]:
    """From which checkpoint until when work is undone by each silent corruption that was found.

    A device that corrupts does so until it is found, so nothing computed in between is sound, whatever else failed
    meanwhile; training goes back to the newest checkpoint from before the first wrong result.
    """
    silent = (stops.kind == CRASH) & (stops.corrupt_since > NONE)
    since, found = stops.corrupt_since[silent], stops.at[silent]
    start = runs.start
    if not len(start):
        return since, found
    place = np.maximum(np.searchsorted(start, since, side="right") - 1, 0)
    inside = (since >= start[place]) & (since < runs.end[place])
    if store is None:
        cycles = _floor((since - start[place]) / runs.length_s[place])
        clean = np.minimum(start[place] + cycles * runs.length_s[place], kept_until[place])
        return np.where(inside, clean, since), found
    origin = axis.starts[axis.replicate(since)]
    grid = origin + _floor((since - origin) / store.every_s) * store.every_s
    before = np.where(place > 0, store.last_saved[np.maximum(place - 1, 0)], origin)
    before = np.where(inside, np.maximum(before, origin), np.maximum(store.last_saved[place], origin))
    in_segment = np.minimum(grid, store.last_saved[place])
    clean = np.where(inside & (in_segment >= start[place] - GRACE), in_segment, before)
    return np.minimum(clean, since), found
