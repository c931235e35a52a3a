"""What GPUs draw: each kind its own, and as the planner promised where it was asked."""

import numpy as np
import pytest
from small_operations import operation

from kolossos.simulate.build import operation_of
from kolossos.simulate.engine.play import simulate
from kolossos.simulate.power import energy_mwh
from kolossos.simulate.scenario import resolve
from kolossos.specs.catalogue import load_gpu
from kolossos.specs.draw import MEAN_SHARE_OF_TDP, gpu_watts

PLAIN = {"host_watts": 100.0, "pue": 1.0}


def test_a_later_lot_of_another_kind_draws_its_own_watts() -> None:
    lots = [{"gpus": 240, "gpu": "gb200", "day": 0.5}]
    scenario = operation(fleet={"growth": lots}, power=PLAIN)
    h100, gb200 = load_gpu("h100"), load_gpu("gb200")
    first, later = scenario.phases
    assert (first.gpu_watts, first.gpu_idle_watts) == (h100.tdp_watts * MEAN_SHARE_OF_TDP, h100.idle_watts)
    assert later.gpu_watts == pytest.approx((h100.tdp_watts + 3 * gb200.tdp_watts) / 4 * MEAN_SHARE_OF_TDP)
    assert later.gpu_idle_watts == pytest.approx((h100.idle_watts + 3 * gb200.idle_watts) / 4)


def test_energy_is_the_draw_of_each_phase_times_its_hours() -> None:
    lots = [{"gpus": 80, "gpu": "gb200", "day": 0.5}]
    scenario = operation(fleet={"growth": lots}, power=PLAIN)
    outcome = simulate(scenario, 90.0)
    first, later = scenario.phases
    busy, on = outcome.busy_gpu_s[0], outcome.on_gpu_s[0]
    assert on == pytest.approx([80 * 43_200.0, 160 * 43_200.0])
    joules = busy[0] * first.gpu_watts + (on[0] - busy[0]) * first.gpu_idle_watts
    joules += busy[1] * later.gpu_watts + (on[1] - busy[1]) * later.gpu_idle_watts
    joules += sum(on) * 100.0
    assert energy_mwh(outcome) == pytest.approx(np.array([joules / 3.6e9]))


def test_watts_that_are_given_hold_for_every_kind() -> None:
    lots = [{"gpus": 80, "gpu": "gb200", "day": 0.5}]
    scenario = operation(fleet={"growth": lots}, power={"gpu_watts": 500.0, "gpu_idle_watts": 50.0})
    assert {(phase.gpu_watts, phase.gpu_idle_watts) for phase in scenario.phases} == {(500.0, 50.0)}


def test_a_promised_step_draws_by_the_share_in_which_its_gpus_compute() -> None:
    growth = [{"gpus": 1024, "gpu": "h200", "day": 10.0}]
    spec = operation_of("mixtral-8x7b", "dgx-h100-256", days=20.0, growth=growth)
    assert spec.step.busy_share is not None
    assert spec.step.busy_shares_after_growth is not None
    first, later = resolve(spec).phases
    assert first.gpu_watts == gpu_watts(load_gpu("h100"), spec.step.busy_share)
    share = spec.step.busy_shares_after_growth[0]
    kinds = [(256, load_gpu("h100")), (1024, load_gpu("h200"))]
    assert later.gpu_watts == pytest.approx(sum(n * gpu_watts(gpu, share) for n, gpu in kinds) / 1280)
    by_hand = operation_of("mixtral-8x7b", "dgx-h100-256", days=20.0, growth=[], step_time_s=5.0)
    assert resolve(by_hand).phases[0].gpu_watts == load_gpu("h100").tdp_watts * MEAN_SHARE_OF_TDP
