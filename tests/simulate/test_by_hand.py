"""Runs whose every second can be written down. A checkpoint each 100 s (90 computing, 10 blocked)."""

import numpy as np
import pytest
from small_operations import operation, played_with

DAY = 86_400.0
FAST = {"interval_s": 90.0, "blocking_s": 10.0, "background_s": 0.0}


def test_work_behind_the_last_checkpoint_is_lost(hours) -> None:
    spent = hours(played_with(operation(), [1050.0]))
    assert spent["lost_work"] == pytest.approx(50.0)
    assert spent["detection"] == pytest.approx(5.0)
    assert spent["restart"] == pytest.approx(25.0)
    rest = DAY - 1080.0
    assert spent["checkpoint"] == pytest.approx(100.0 + 10.0 * (rest // 100) + max(rest % 100 - 90.0, 0.0))


def test_a_checkpoint_still_being_written_does_not_count(hours) -> None:
    spec = operation(checkpoint={**FAST, "background_s": 60.0})
    assert hours(played_with(spec, [1050.0]))["lost_work"] == pytest.approx(50.0 + 90.0)
    assert hours(played_with(spec, [1061.0]))["lost_work"] == pytest.approx(61.0)


def test_a_failure_during_a_restart_starts_it_again(hours) -> None:
    spent = hours(played_with(operation(), [1000.0, 1010.0]))
    assert spent["detection"] + spent["restart"] == pytest.approx(40.0)


def test_without_a_spare_the_job_waits_for_the_repair(hours) -> None:
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 0.0, "detect_s": 5.0, "repair_s": 600.0}
    spent = hours(played_with(operation(failures={"causes": [cause]}), [1000.0]))
    assert spent["waiting"] == pytest.approx(595.0 * 72 / 80)  # the broken node is in repair, not waiting
    assert spent["repair"] == pytest.approx(600.0 * 8 / 80)


def test_two_spares_serve_two_failures_and_the_third_waits_for_the_first_repair(hours) -> None:
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 0.0, "detect_s": 0.0, "repair_s": 1000.0}
    spec = operation(failures={"causes": [cause]}, recovery={"spare_nodes": 2})
    spent = hours(played_with(spec, [1000.0, 1100.0, 1300.0]), gpus=8)
    assert spent["waiting"] == pytest.approx(700.0 * 7)  # until 2000 s, seven staffed nodes of eight
    # spares idle: 2 until 1000 s, 1 until 1100 s, none until 2100 s, 1 until 2300 s, 2 afterwards
    assert spent["spare"] == pytest.approx(2 * 1000.0 + 100.0 + 200.0 + 2 * (DAY - 2300.0))


def test_spares_from_outside_never_keep_the_job_waiting(hours) -> None:
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 0.0, "detect_s": 5.0, "repair_s": 600.0}
    spec = operation(failures={"causes": [cause]}, recovery={"spare_nodes": None})
    spent = hours(played_with(spec, [1000.0, 1100.0]))
    assert "waiting" not in spent
    assert "repair" not in spent
    assert spent["restart"] == pytest.approx(50.0)


def test_silent_corruption_takes_the_work_since_it_began(hours) -> None:
    cause = {"name": "sdc", "kind": "sdc", "per_1000_node_days": 0.0, "detect_s": 0.0, "found_after_s": 1000.0}
    played = played_with(operation(failures={"causes": [cause]}), [1050.0], found_e=[2.0])
    spent = hours(played)
    assert spent["sdc"] == pytest.approx(20 * 90.0)  # from the checkpoint at 1000 s to the one at 3000 s
    assert spent["lost_work"] == pytest.approx(50.0)  # from 3000 s to the discovery at 3050 s
    assert "detection" not in spent


def test_peers_lose_one_step_but_a_fabric_failure_goes_back_to_the_store(hours) -> None:
    causes = [
        {"name": "gpu", "kind": "gpu", "per_1000_node_days": 0.0, "detect_s": 0.0},
        {"name": "fabric", "kind": "network", "per_1000_node_days": 0.0, "detect_s": 0.0, "scope": "fabric"},
    ]
    spec = operation(
        failures={"causes": causes},
        checkpoint={"interval_s": 500.0, "blocking_s": 0.0, "background_s": 0.0, "peer_blocking_s": 0.0},
        recovery={"policy": "in-process", "in_process_s": 10.0, "peer_load_s": 5.0},
    )
    spent = hours(played_with(spec, [1000.5, 1400.5], cause=np.array([0, 1])))
    # near: half a step; far: back to the store's checkpoint at 1000 s, through both segments
    assert spent["lost_work"] == pytest.approx(0.5 + (1400.5 - 1015.5) + 0.0, abs=1.01)
    assert spent["restart"] == pytest.approx(15.0 + 25.0)


def test_a_lost_replica_slows_the_job_and_comes_back(hours) -> None:
    spec = operation(
        checkpoint={"interval_s": 1000.0, "blocking_s": 0.0, "background_s": 0.0},
        recovery={
            "policy": "shrink-and-heal", "replicas": 10, "stall_s": 15.0, "replica_restart_s": 195.0, "spare_nodes": 0,
        },
    )  # fmt: skip
    spent = hours(played_with(spec, [1000.0]))
    assert spent["detection"] + spent["restart"] == pytest.approx(20.0)
    assert spent["degraded"] == pytest.approx(0.1 * (5.0 + 195.0 - 20.0))
    assert "lost_work" not in spent


def test_below_the_least_number_of_replicas_the_job_waits(hours) -> None:
    heal = {"policy": "shrink-and-heal", "replicas": 10, "min_replicas": 10, "stall_s": 15.0}
    spec = operation(
        checkpoint={"interval_s": 1000.0, "blocking_s": 0.0, "background_s": 0.0},
        recovery={**heal, "replica_restart_s": 195.0},
    )
    spent = hours(played_with(spec, [1000.0]))
    assert spent["waiting"] == pytest.approx(195.0)
    assert spent["restart"] == pytest.approx(15.0)


def test_growth_reconfigures_once_and_delivers_faster_afterwards(hours) -> None:
    lots = [{"gpus": 40, "day": 0.25, "join_day": 0.5}, {"gpus": 40, "day": 0.5}]
    spec = operation(fleet={"growth": lots}, recovery={"reconfigure_s": 1000.0})
    played = played_with(spec, [])
    spent = hours(played, gpus=1)
    assert spent["growth"] == pytest.approx(1000.0 * 160)
    assert spent["not_arrived"] == pytest.approx(40 * 0.25 * DAY + 40 * 0.5 * DAY)
    assert spent["not_joined"] == pytest.approx(40 * 0.25 * DAY)
    assert [phase.step_time_s for phase in played.scenario.phases] == pytest.approx([1.0, 0.5])
    half = DAY / 2
    first = 90.0 * (half // 100)
    saved = 10.0  # the checkpoint before the change
    second = (half - saved - 1000.0) * 0.9
    assert played.accounts.tokens[0] == pytest.approx(first + 2 * second, rel=2e-3)


def test_maintenance_loses_no_work(hours) -> None:
    spec = operation(maintenance={"every_days": 0.4, "duration_s": 3600.0})
    spent = hours(played_with(spec, [0.4 * DAY + 100.0]))  # a failure in the window stops nothing
    assert "lost_work" not in spent
    assert spent["maintenance"] == pytest.approx(2 * 3590.0, rel=1e-3)
    assert "detection" not in spent


def test_a_person_is_waited_for_when_the_mark_says_so(hours) -> None:
    cause = {"name": "gpu", "kind": "gpu", "per_1000_node_days": 0.0, "detect_s": 5.0, "person_share": 0.3}
    spec = operation(failures={"causes": [cause]}, recovery={"person_s": 600.0})
    assert hours(played_with(spec, [1000.0], person=[0.29]))["detection"] == pytest.approx(605.0)
    assert hours(played_with(spec, [1000.0], person=[0.31]))["detection"] == pytest.approx(5.0)


def test_an_enforced_power_limit_slows_the_job(hours) -> None:
    watts = {"gpu_watts": 500.0, "gpu_idle_watts": 100.0, "host_watts": 100.0, "pue": 1.0}
    power = {**watts, "site_limit_watts": 80 * 400.0, "enforce_limit": True}
    spent = hours(played_with(operation(power=power), []))
    assert spent["power_cap"] / (spent["power_cap"] + spent["productive"]) == pytest.approx(0.5)
