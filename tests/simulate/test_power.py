"""What GPUs draw: each kind its own, and as the planner promised where it was asked."""

import numpy as np
import pytest
from small_operations import operation

from kolossos.simulate import promised as promising
from kolossos.simulate.build import operation_of
from kolossos.simulate.engine.play import simulate
from kolossos.simulate.power import energy_mwh, step_power
from kolossos.simulate.scenario import resolve
from kolossos.simulate.spec import OperationSpec
from kolossos.specs.catalogue import load_gpu
from kolossos.specs.cluster import ClusterSpec
from kolossos.specs.draw import MEAN_SHARE_OF_TDP, gpu_watts
from kolossos.specs.layout import Layout
from kolossos.specs.model import ModelSpec

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


@pytest.fixture
def promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planner that fills nine tenths of any fleet, and lets a GPU compute in less of the step the more there are."""

    def promise(model: ModelSpec, fleet: ClusterSpec) -> promising.StepPromise:
        return promising.StepPromise(
            n_gpus=fleet.n_gpus * 9 // 10,
            layout=Layout(precision="bf16", seq_len=1024, micro_batch_size=1, global_batch_size=1),
            step_time_s=5.0,
            step_time_low_s=4.0,
            step_time_high_s=6.0,
            tokens_per_step=1e6,
            model_flops_per_step=1e20,
            mfu=0.3,
            checkpoint_bytes=1e12,
            busy_share=100.0 / fleet.n_gpus,
        )

    monkeypatch.setattr(promising, "promise_step", promise)


@pytest.mark.usefixtures("promised")
def test_a_promised_step_draws_by_the_share_in_which_its_gpus_compute_and_what_it_leaves_over_idles() -> None:
    growth = [{"gpus": 1024, "gpu": "h200", "day": 10.0}]
    spec = operation_of("mixtral-8x7b", "dgx-h100-256", days=20.0, growth=growth)
    h100, h200 = load_gpu("h100"), load_gpu("h200")
    first, later = resolve(spec).phases
    used = 230 / 256
    assert first.gpu_watts == pytest.approx(used * gpu_watts(h100, 100 / 256) + (1 - used) * h100.idle_watts)
    used = 1152 / 1280
    busy = (256 * gpu_watts(h100, 100 / 1280) + 1024 * gpu_watts(h200, 100 / 1280)) / 1280
    assert later.gpu_watts == pytest.approx(used * busy + (1 - used) * (256 * 100.0 + 1024 * 110.0) / 1280)


@pytest.mark.usefixtures("promised")
def test_the_site_draws_what_the_plan_of_its_step_says() -> None:
    spec = operation_of("mixtral-8x7b", "dgx-h100-256", days=20.0, growth=[])
    gpu, power = load_gpu("h100"), spec.power
    machines = 230 * gpu_watts(gpu, 100 / 256) + 26 * gpu.idle_watts + 256 * power.host_watts
    assert step_power(spec, resolve(spec).phases[0]).site_mean_watts == pytest.approx(machines * power.pue)


def test_a_step_time_given_by_hand_draws_the_mean() -> None:
    spec = operation_of("mixtral-8x7b", "dgx-h100-256", days=20.0, growth=[], step_time_s=5.0)
    assert resolve(spec).phases[0].gpu_watts == load_gpu("h100").tdp_watts * MEAN_SHARE_OF_TDP


def test_fans_of_air_cooled_nodes_draw_what_two_measured_maxima_differ_by() -> None:
    watts = {}
    for cooling in ("liquid", "air"):
        spec = OperationSpec.parse({"fleet": {"gpus": 64}, "power": {"cooling": cooling}}, "test")
        watts[cooling] = step_power(spec, resolve(spec).phases[0]).mean_watts
    assert watts["air"] / watts["liquid"] == pytest.approx(8.48 / 7.38)
