"""What holds for every run: hours add up, the same seed repeats, policies meet the same failures."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_operations import operation

from kolossos.simulate.engine import play as playing
from kolossos.simulate.engine.buckets import BUCKETS
from kolossos.simulate.engine.play import prepare, simulate
from kolossos.simulate.piecewise import Axis
from kolossos.simulate.policies import policy_names
from kolossos.simulate.power import energy_mwh
from kolossos.simulate.summary import summary

DAY = 86_400.0
SCOPES = ("job", "gpu", "node", "rack", "fabric", "site")
POLICIES = policy_names()


@st.composite
def operations(draw: Any) -> Any:
    """Anything at all: causes of every scope, silent ones, growth in lots, spares, maintenance, stragglers, lemons."""
    causes = [
        {
            "name": f"cause {number}",
            "kind": "unknown",
            "per_1000_node_days": draw(st.floats(0.0, 3000.0)),
            "scope": draw(st.sampled_from(SCOPES)),
            "detect_s": draw(st.floats(0.0, 2000.0)),
            "repair_s": draw(st.floats(0.0, 50_000.0)),
            "cv": draw(st.sampled_from([0.0, 1.0])),
            "person_share": draw(st.sampled_from([0.0, 0.5])),
            "found_after_s": draw(st.sampled_from([0.0, 0.0, 5000.0])),
        }
        for number in range(draw(st.integers(1, 3)))
    ]
    days = draw(st.floats(0.5, 4.0))
    lots = []
    for _ in range(draw(st.integers(0, 2))):
        day = draw(st.floats(0.0, 0.8)) * days
        lots.append(
            {"gpus": 40, "gpu": "h200", "day": day, "join_day": min(day + draw(st.floats(0.0, 1.0)), 0.9 * days)}
        )
    return operation(
        days=days,
        seed=draw(st.integers(0, 10_000)),
        replicates=3,
        fleet={"growth": lots, "nodes_per_rack": 2},
        step={"time_s": draw(st.floats(0.5, 50.0))},
        failures={
            "causes": causes,
            "early_life_factor": draw(st.sampled_from([0.0, 3.0])),
            "lemon_share": draw(st.sampled_from([0.0, 0.1])),
            "lemon_factor": 10.0,
            "lemon_evict_after": draw(st.sampled_from([None, 2])),
        },
        recovery={
            "policy": draw(st.sampled_from(POLICIES)),
            "spare_nodes": draw(st.sampled_from([None, 0, 1, 4])),
            "restart_cv": draw(st.sampled_from([0.0, 0.5])),
            "replicas": 5,
            "min_replicas": draw(st.integers(1, 5)),
            "rejoin_stall_s": draw(st.sampled_from([0.0, 60.0])),
        },
        checkpoint={"background_s": draw(st.floats(0.0, 300.0)), "blocking_s": draw(st.floats(0.0, 60.0))},
        maintenance={"every_days": draw(st.sampled_from([None, 0.3])), "duration_s": 1800.0},
        stragglers={"kinds": [{"name": "s", "per_1000_node_days": 500.0, "slowdown": 1.2, "duration_s": 900.0}]},
        tokens=draw(st.sampled_from([None, 10_000.0])),
    )  # fmt: skip


def grown(join_day: float, days: float = 0.5, **more: Any) -> Any:
    """80 GPUs, half of them in the job from ``join_day``."""
    lot = {"gpus": 40, "day": 0.0, "join_day": join_day}
    return operation(days=days, fleet={"gpus": 40, "growth": [lot]}, **more)


@settings(deadline=None, max_examples=100)
@given(spec=operations(), interval=st.floats(1.0, 20_000.0))
@example(spec=grown(2.7735e-9, replicates=3), interval=90.0)
def test_every_gpu_second_is_in_exactly_one_bucket(spec: Any, interval: float) -> None:
    outcome = simulate(spec, interval)
    gpus = sum(lot.gpus for lot in spec.lots)
    total = sum((outcome.gpu_s[name] for name in BUCKETS), np.zeros(3))
    assert total == pytest.approx(np.full(3, gpus * spec.horizon_s), rel=1e-9)
    for name in BUCKETS:
        assert (outcome.gpu_s[name] >= -1e-3).all(), name
    assert (outcome.goodput <= 1.0 + 1e-9).all()
    assert (np.diff(outcome.curve_tokens, axis=1) >= -1e-6).all()
    assert outcome.curve_tokens[:, -1] == pytest.approx(outcome.tokens, abs=1e-6)
    assert (energy_mwh(outcome) >= 0.0).all()


@settings(deadline=None, max_examples=60)
@given(
    join_day=st.one_of(st.floats(0.0, 0.499), st.floats(0.0, 1e-6), st.sampled_from([1e-15, 1e-11, 0.5 - 1e-12])),
    more=st.floats(0.0, 0.4),
    policy=st.sampled_from(POLICIES),
)
@example(join_day=2.7735e-9, more=0.0, policy="store")
def test_gpus_join_once_at_whatever_moment(join_day: float, more: float, policy: str) -> None:
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 500.0, "detect_s": 5.0, "repair_s": 600.0}
    outcome = simulate(
        grown(join_day, days=0.5 + more, replicates=5, failures={"causes": [cause]}, recovery={"policy": policy}), 90.0
    )
    total = sum(outcome.gpu_s.values(), np.zeros(5))
    assert total == pytest.approx(np.full(5, 80 * (0.5 + more) * DAY), rel=1e-12)
    assert outcome.gpu_s["not_joined"] == pytest.approx(np.full(5, 40 * join_day * DAY), rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(days=st.floats(0.5, 90.0), replicates=st.integers(1, 200))
def test_a_moment_on_the_common_axis_belongs_to_its_replicate(days: float, replicates: int) -> None:
    axis, rows = Axis(replicates, days * DAY), np.arange(replicates)
    assert (axis.replicate(axis.starts) == rows).all()
    assert (axis.replicate(axis.ends) == rows).all()
    assert (axis.replicate(axis.key(rows, rows * 7.3)) == rows).all()


@settings(deadline=None, max_examples=40)
@given(spec=operations())
def test_gpus_that_are_on_and_busy_are_those_of_the_buckets(spec: Any) -> None:
    outcome = simulate(spec, 300.0)
    booked = {name: outcome.gpu_s[name] for name in BUCKETS}
    busy = sum((booked[name] for name in ("productive", "lost_work", "sdc", "straggler", "power_cap")), np.zeros(3))
    off = sum((booked[name] for name in ("repair", "not_joined", "not_arrived")), np.zeros(3))
    everything = sum(booked.values(), np.zeros(3))
    assert outcome.busy_gpu_s.sum(axis=1) == pytest.approx(busy, rel=1e-9, abs=1e-3)
    assert outcome.on_gpu_s.sum(axis=1) == pytest.approx(everything - off, rel=1e-9, abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(spec=operations())
def test_replicates_do_not_depend_on_how_they_are_grouped(spec: Any) -> None:
    together = simulate(spec, 300.0, [prepare(spec, range(3))])
    apart = simulate(spec, 300.0, [prepare(spec, range(n, n + 1)) for n in range(3)])
    assert together.tokens == pytest.approx(apart.tokens, rel=1e-9, abs=1e-6)
    assert (together.interruptions == apart.interruptions).all()


def test_same_seed_same_bytes_and_another_seed_others() -> None:
    changes = {"days": 20.0, "replicates": 5, "failures": {"causes": None, "scale": 100.0, "table": "llama3-2024"}}
    spec = operation(**changes)
    first, again = (json.dumps(summary(simulate(spec, 300.0))) for _ in range(2))
    assert first == again
    assert first != json.dumps(summary(simulate(operation(**{**changes, "seed": 1}), 300.0)))


def test_a_policy_does_not_change_the_failures_it_meets() -> None:
    spec = operation(days=20.0, fleet={"gpus": 8000}, failures={"causes": None})
    draws = prepare(spec, range(2)).draws
    for change in ({"policy": "shrink-and-heal"}, {"spare_nodes": 30}, {"restart_s": 5000.0}):
        other = prepare(spec.with_recovery(**change), range(2)).draws
        assert (other.time_s == draws.time_s).all()
        assert (other.node == draws.node).all()


def test_a_longer_run_and_a_later_lot_leave_earlier_failures_where_they_were() -> None:
    spec = operation(days=20.0, fleet={"gpus": 8000}, failures={"causes": None})
    longer = operation(
        days=40.0, fleet={"gpus": 8000, "growth": [{"gpus": 800, "day": 25.0}]}, failures={"causes": None}
    )
    draws, more = prepare(spec, range(1)).draws, prepare(longer, range(1)).draws
    assert more.time_s[more.time_s < 20 * DAY] == pytest.approx(draws.time_s, rel=1e-12)


def test_replicates_are_the_same_however_many_are_asked_for() -> None:
    few, many = (operation(days=20.0, replicates=n, failures={"causes": None, "scale": 50.0}) for n in (2, 6))
    assert simulate(many, 300.0).tokens[:2] == pytest.approx(simulate(few, 300.0).tokens, rel=1e-12)


def test_fewer_failures_on_the_same_draws_never_deliver_less_on_average() -> None:
    base = {"causes": None, "table": "rsc-1"}
    tokens = [
        simulate(operation(days=30.0, fleet={"gpus": 16_000}, replicates=8, failures={**base, "scale": scale},
                           recovery={"spare_nodes": 30}), 600.0).tokens.mean()
        for scale in (0.0, 0.5, 1.0, 2.0)
    ]  # fmt: skip
    assert tokens == sorted(tokens, reverse=True)


def test_cost_grows_with_failures_and_not_with_gpus() -> None:
    events = []
    for gpus, scale in ((8_000, 1.0), (800_000, 0.01)):
        spec = operation(days=90.0, fleet={"gpus": gpus}, failures={"causes": None, "table": "rsc-1", "scale": scale})
        events.append(len(prepare(spec, range(20)).draws.time_s) / 20)
        assert len(playing.play(spec, prepare(spec, range(1)), 600.0).segments.start) < 1000
    assert events[0] == pytest.approx(events[1], rel=0.05)
