"""Playing a run many times: draw, stop, segment, account; in chunks that keep memory small."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kolossos.simulate.engine.buckets import BUCKETS, Accounts, accounts_of, slowdown_of
from kolossos.simulate.engine.draw import Draws, SlowDraws, draw, draw_pace, draw_slow
from kolossos.simulate.engine.segments import Segments, segments_of
from kolossos.simulate.engine.stops import CRASH, Outages, Stops, stops_of
from kolossos.simulate.fleet import Phase
from kolossos.simulate.piecewise import Array, Axis, StepFunction
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.spec import DAY_S

EVENTS_PER_CHUNK = 250_000
CURVE_POINTS = 121


@dataclass(frozen=True)
class Played:
    """One chunk of replicates with everything that happened in it."""

    scenario: Scenario
    axis: Axis
    draws: Draws
    stops: Stops
    outages: Outages
    segments: Segments
    slow: StepFunction
    accounts: Accounts


@dataclass(frozen=True)
class Outcome:
    """What each replicate delivered. Arrays have the replicates first."""

    scenario: Scenario
    interval_s: float
    gpu_s: dict[str, Array]
    busy_gpu_s: Array
    """GPU-seconds of computing, by replicate and phase of the fleet."""
    on_gpu_s: Array
    """GPU-seconds of all GPUs that are switched on, by replicate and phase of the fleet."""
    tokens: Array
    goodput: Array
    """Tokens over those of a job that runs at its promised speed without a second lost (spares set aside)."""
    effective_share: Array
    """Share of the wall time in computing that was kept, at whatever speed."""
    interruptions: Array
    by_cause: Array
    curve_days: Array
    curve_tokens: Array
    days_to_tokens: Array
    reached: Array
    """Whether the tokens asked for came within the run; else the days are extrapolated."""


@dataclass(frozen=True)
class Prepared:
    """The random part of some replicates, drawn once; every policy can be played on it (common random numbers)."""

    draws: Draws
    slow: list[SlowDraws]
    pace: Array
    """Speed of each replicate over the promised one: what the planner does not know."""
    replicates: range


def prepare(scenario: Scenario, replicates: range) -> Prepared:
    """Draw everything random of these replicates."""
    pace = draw_pace(scenario.spec, replicates)
    return Prepared(draw(scenario, replicates), draw_slow(scenario, replicates), pace, replicates)


def prepared(scenario: Scenario) -> list[Prepared]:
    """All replicates of the scenario, drawn in chunks."""
    return [prepare(scenario, replicates) for replicates in chunked(scenario)]


def play(scenario: Scenario, prepared: Prepared, interval_s: float) -> Played:
    """Play the prepared replicates with a checkpoint interval in seconds."""
    axis = Axis(len(prepared.replicates), scenario.horizon_s)
    stops, outages = stops_of(scenario, axis, prepared.draws)
    segments = segments_of(scenario, axis, stops, interval_s)
    slow = slowdown_of(scenario.spec, axis, prepared.slow)
    accounts = accounts_of(scenario, axis, stops, outages, segments, slow)
    return Played(scenario, axis, prepared.draws, stops, outages, segments, slow, accounts)


def simulate(scenario: Scenario, interval_s: float, chunks: list[Prepared] | None = None) -> Outcome:
    """Play as many runs as the scenario asks for; with ``chunks``, those drawn before."""
    made = chunks if chunks is not None else (prepare(scenario, r) for r in chunked(scenario))
    parts = [_condensed(play(scenario, chunk, interval_s), chunk.pace) for chunk in made]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Outcome(
        scenario=scenario,
        interval_s=interval_s,
        gpu_s={name: joined[name] for name in BUCKETS},
        curve_days=np.linspace(0.0, scenario.spec.days, CURVE_POINTS),
        **{name: joined[name] for name in joined if name not in BUCKETS},
    )


def ideal_tokens(phases: Sequence[Phase], days: float) -> float:
    """Tokens of ``days`` if nothing ever stopped or slowed the job."""
    ends = [*(phase.start_s for phase in phases[1:]), days * DAY_S]
    return sum(phase.tokens_per_s * (end - phase.start_s) for phase, end in zip(phases, ends, strict=True))


def chunked(scenario: Scenario) -> list[range]:
    """The replicates in groups whose failures fit in little memory."""
    spec = scenario.spec
    rate = scenario.causes.per_1000_node_days() / 1000.0
    rate += sum(kind.per_1000_node_days for kind in spec.stragglers.kinds) / 1000.0
    nodes = sum(lot.gpus for lot in scenario.lots) / spec.fleet.gpus_per_node
    a_day = rate * nodes + scenario.causes.per_day()
    expected = a_day * spec.days * (1.0 + spec.failures.early_life_factor) + 10.0
    size = int(max(1, min(spec.replicates, EVENTS_PER_CHUNK // expected)))
    return [range(first, min(first + size, spec.replicates)) for first in range(0, spec.replicates, size)]


def _condensed(played: Played, pace: Array) -> dict[str, Array]:
    scenario, axis, accounts = played.scenario, played.axis, played.accounts
    crashes = played.stops.kind == CRASH
    replicate = axis.replicate(played.stops.at[crashes])
    counts = np.zeros((axis.n_replicates, len(scenario.causes.rows)), np.int64)
    np.add.at(counts, (replicate, played.stops.cause[crashes].astype(np.int64)), 1)
    grid = axis.starts[:, None] + np.linspace(0.0, axis.horizon_s, CURVE_POINTS)[None, :]
    base = np.concatenate(([0.0], np.cumsum(accounts.tokens)[:-1]))
    curve = _tokens_at(accounts, grid.ravel()).reshape(grid.shape) - base[:, None]
    days, reached = _days_to_tokens(played, base, pace)
    return {
        **accounts.gpu_s,
        "busy_gpu_s": accounts.busy_gpu_s,
        "on_gpu_s": accounts.on_gpu_s,
        "tokens": accounts.tokens * pace,
        "goodput": accounts.tokens / ideal_tokens(scenario.phases, scenario.spec.days),
        "effective_share": accounts.effective_s / axis.horizon_s,
        "interruptions": np.bincount(replicate, minlength=axis.n_replicates),
        "by_cause": counts,
        "curve_tokens": curve * pace[:, None],
        "days_to_tokens": days,
        "reached": reached,
    }


def _tokens_at(accounts: Accounts, keys: Array) -> Array:
    if not len(accounts.curve_keys):
        return np.zeros(len(keys))
    return np.interp(keys, accounts.curve_keys, accounts.curve_tokens, left=0.0)


def _days_to_tokens(played: Played, base: Array, pace: Array) -> tuple[Array, Array]:
    """Days until the tokens asked for are there for good; beyond the run at the pace of its last phase."""
    axis, accounts, tokens = played.axis, played.accounts, played.accounts.tokens
    asked = played.scenario.spec.tokens
    if asked is None or not len(accounts.curve_keys):
        return np.full(axis.n_replicates, np.nan), np.zeros(axis.n_replicates, bool)
    wanted = asked / pace
    reached = tokens >= wanted * (1 - 1e-12)
    target = base + np.minimum(wanted, tokens)
    right = np.clip(np.searchsorted(accounts.curve_tokens, target, side="left"), 1, len(accounts.curve_keys) - 1)
    height = accounts.curve_tokens[right] - accounts.curve_tokens[right - 1]
    part = np.divide(target - accounts.curve_tokens[right - 1], height, out=np.zeros(len(target)), where=height > 0)
    width = accounts.curve_keys[right] - accounts.curve_keys[right - 1]
    days = (accounts.curve_keys[right - 1] + part * width - axis.starts) / DAY_S
    last = played.scenario.phases[-1].start_s
    in_last = tokens + base - _tokens_at(accounts, axis.starts + last)
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = (axis.horizon_s + (wanted - tokens) / in_last * (axis.horizon_s - last)) / DAY_S
    return np.where(reached, days, beyond), reached
