"""Held against what can be computed without simulating."""

from math import exp

import numpy as np
import pytest
from event_by_event import run as run_event_by_event
from hypothesis import given, settings
from hypothesis import strategies as st
from small_operations import merged, operation

from kolossos.simulate.closed_forms import (
    daly_expected_s,
    daly_interval_s,
    exact_efficiency,
    rsc_expected_ettr,
    young_interval_s,
)
from kolossos.simulate.engine.play import play, prepare, simulate
from kolossos.simulate.engine.stops import CRASH

HOUR = 3600.0
ANY = {"name": "any", "kind": "unknown", "scope": "job", "per_1000_node_days": 1.0, "detect_s": 0.0}


def poisson(**changes):
    """Failures every hour on average that cost a fixed restart."""
    base = {"days": 60.0, "replicates": 60, "failures": {"causes": [ANY], "job_mtbf_s": HOUR}}
    return operation(**merged(base, changes))


def within_three_errors(values: np.ndarray, expected: float) -> bool:
    return abs(values.mean() - expected) <= 3.0 * values.std(ddof=1) / len(values) ** 0.5


@pytest.mark.parametrize("interval", [120.0, 268.0, 900.0, 3000.0])
@pytest.mark.parametrize("restart", [0.0, 300.0, 1800.0])
def test_efficiency_is_dalys_exact_expectation(interval: float, restart: float) -> None:
    spec = poisson(recovery={"restart_s": restart, "load_s": 0.0})
    shares = simulate(spec, interval).effective_share
    assert within_three_errors(shares, exact_efficiency(interval, 10.0, restart, HOUR))


def test_time_to_tokens_is_dalys_expected_time() -> None:
    spec = poisson(tokens=200 * 300.0, recovery={"restart_s": 300.0, "load_s": 0.0}, days=5.0, replicates=400)
    outcome = simulate(spec, 300.0)
    assert outcome.reached.all()
    assert within_three_errors(outcome.days_to_tokens * 86_400.0, daly_expected_s(60_000.0, 300.0, 10.0, 300.0, HOUR))


def test_interruptions_are_poisson() -> None:
    counts = simulate(poisson(replicates=400, days=10.0), 300.0).interruptions
    assert within_three_errors(counts, 240.0)
    assert 0.8 < counts.var(ddof=1) / 240.0 < 1.2


def test_nodes_in_repair_are_an_infinite_server_queue() -> None:
    """Mean GPU-hours in repair: rate x repair time, less what still lies open at both ends of the run."""
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 100.0, "repair_s": 4 * HOUR, "cv": 1.0}
    spec = operation(days=100.0, replicates=100, fleet={"gpus": 800}, failures={"causes": [cause]},
                     recovery={"spare_nodes": 20})  # fmt: skip
    gpu_hours = simulate(spec, 300.0).gpu_s["repair"] / HOUR
    mean = 0.1 * 100 * 4 * 8  # failures a day x repair hours x GPUs of a node
    unfinished = mean * (4 * (1 + 1) / 2) / 24  # E[repair^2] / 2 E[repair] at the end of the run, in days
    assert within_three_errors(gpu_hours, mean * 100 - unfinished)


def test_stragglers_slow_the_job_as_often_as_any_is_active() -> None:
    kind = {"name": "slow", "per_1000_node_days": 1000.0, "slowdown": 1.25, "duration_s": 1800.0, "duration_cv": 0.0}
    spec = operation(days=50.0, replicates=40, stragglers={"kinds": [kind]})
    outcome = simulate(spec, 1e9)
    active = 1.0 - exp(-10 * 1800.0 / 86_400.0)
    assert within_three_errors(1.0 - outcome.goodput, active * 0.2 * (1 - 900.0 / (50 * 86_400.0)))


def test_early_life_bends_the_clock_of_failures() -> None:
    factor, days = 4.0, 20.0
    spec = poisson(failures={"early_life_factor": factor, "early_life_days": days}, replicates=100)
    expected = 24.0 * (60.0 + factor * days * (1.0 - exp(-60.0 / days)))
    assert within_three_errors(simulate(spec, 300.0).interruptions, expected)


def test_lemons_keep_the_mean_rate_and_take_their_share() -> None:
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 50.0}
    spec = operation(days=50.0, replicates=40, fleet={"gpus": 8000},
                     failures={"causes": [cause], "lemon_share": 0.02, "lemon_factor": 25.0})  # fmt: skip
    draws = prepare(spec, range(40)).draws
    assert abs(len(draws.time_s) / 40 - 2500) < 3 * (2500 / 40) ** 0.5
    lemons = float((draws.node < 20).mean())
    assert abs(lemons - 20 * 25 / (980 + 20 * 25)) < 0.01


def test_evicted_lemons_fail_no_more_than_others_afterwards() -> None:
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 50.0}
    lemons = {"causes": [cause], "lemon_share": 0.02, "lemon_factor": 25.0, "lemon_evict_after": 3}
    spec = operation(days=50.0, replicates=20, fleet={"gpus": 8000}, failures=lemons)
    draws = prepare(spec, range(20)).draws
    per_lemon = np.bincount(draws.replicate[draws.node < 20], minlength=20) / 20
    plain = 2500.0 / (980 + 20 * 25)
    assert 3.0 <= per_lemon.mean() <= 3.0 + 1.3 * plain


@settings(deadline=None, max_examples=40)
@given(
    rate=st.floats(0.5, 60.0),
    spares=st.integers(0, 6),
    interval=st.integers(20, 900),
    blocking=st.integers(0, 30),
    background=st.integers(0, 15),
    detect=st.integers(0, 200),
    repair=st.floats(0.0, 40_000.0),
    restart=st.integers(0, 2000),
    seed=st.integers(0, 1000),
)
def test_an_event_by_event_simulator_counts_the_same_seconds(
    rate: float, spares: int, interval: int, blocking: int, background: int, detect: int, repair: float, restart: int,
    seed: int,
) -> None:  # fmt: skip
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": rate * 100, "detect_s": detect, "repair_s": repair}
    spec = operation(
        seed=seed, days=2.0, failures={"causes": [cause]},
        checkpoint={"interval_s": float(interval), "blocking_s": float(blocking), "background_s": float(background)},
        recovery={"spare_nodes": spares, "restart_s": float(restart), "load_s": 3.0},
    )  # fmt: skip
    played = play(spec, prepare(spec, range(1)), float(interval))
    reference = run_event_by_event(spec, played.draws, float(interval))
    segments = played.segments
    up = float((segments.end - segments.start).sum())
    assert (played.stops.kind == CRASH).sum() == reference["interruptions"]
    assert up == pytest.approx(reference["computing"] + reference["saving"], abs=1e-3)
    assert segments.compute_s.sum() == pytest.approx(reference["computing"], abs=1e-3)
    ended_by_crash = segments.end < played.axis.horizon_s - 1e-9
    usable = segments.kept_compute_s[ended_by_crash].sum()
    assert usable <= reference["kept_at_least"] + 1e-3  # the last segment's checkpoints are in the reference's too
    last = segments.kept_compute_s[~ended_by_crash].sum()
    assert reference["kept_at_least"] <= usable + last + 1e-3


def test_young_and_daly_and_the_published_ettr_formula() -> None:
    assert young_interval_s(10.0, 7200.0) == pytest.approx((2 * 10 * 7200) ** 0.5)
    assert daly_interval_s(10.0, 7200.0) == pytest.approx(379.47 * (1 + 0.02635 / 3 + 0.000694 / 9) - 10, rel=1e-3)
    assert daly_interval_s(500.0, 200.0) == 200.0
    # arXiv:2410.21680: N r_f (u0 + dt / 2) lost to failures, w / dt to writing
    per_second = 2048 * 6.5e-3 / 86_400.0
    by_hand = (1 - per_second * (300.0 + 300.0)) / (1 + 10.0 / 600.0)
    assert rsc_expected_ettr(600.0, 10.0, 300.0, 1 / per_second) == pytest.approx(by_hand)
