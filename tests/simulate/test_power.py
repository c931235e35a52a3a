"""What GPUs draw: each kind its own, and as the planner promised where it was asked."""

import numpy as np
import pytest
from small_operations import operation

from kolossos.plan.promise import promise_step
from kolossos.simulate.build import operation_of
from kolossos.simulate.engine.play import simulate
from kolossos.simulate.power import energy_mwh, step_power
from kolossos.simulate.scenario import resolve
from kolossos.specs.catalogue import load_cluster, load_gpu, load_model
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
    assert spec.step.draws is not None
    scenario = resolve(spec)
    kinds = ([(256, load_gpu("h100"))], [(256, load_gpu("h100")), (1024, load_gpu("h200"))])
    for phase, draw, present in zip(scenario.phases, spec.step.draws, kinds, strict=True):
        busy = sum(n * gpu_watts(gpu, draw.busy_share) for n, gpu in present) / sum(n for n, _ in present)
        assert 0.0 < draw.used_share <= 1.0
        expected = draw.used_share * busy + (1.0 - draw.used_share) * phase.gpu_idle_watts
        assert phase.gpu_watts == pytest.approx(expected)
    by_hand = operation_of("mixtral-8x7b", "dgx-h100-256", days=20.0, growth=[], step_time_s=5.0)
    assert resolve(by_hand).phases[0].gpu_watts == load_gpu("h100").tdp_watts * MEAN_SHARE_OF_TDP


def test_plan_and_simulation_agree_on_the_power_of_a_site_that_a_layout_does_not_fill() -> None:
    spec = operation_of("grok-1", "colossus-100k", days=20.0, growth=[])
    promise, gpu = promise_step(load_model("grok-1"), load_cluster("colossus-100k")), load_gpu("h100")
    assert promise.n_gpus < 100_000
    machines = promise.n_gpus * gpu_watts(gpu, promise.busy_share) + (100_000 - promise.n_gpus) * gpu.idle_watts
    power = step_power(spec, resolve(spec).phases[0])
    assert power.site_mean_watts == pytest.approx((machines + 100_000 * spec.power.host_watts) * spec.power.pue)
