"""Published runs, with inputs from the tables and outputs only compared; power against measured swings."""

import json
from pathlib import Path

import pytest
from small_operations import operation

from kolossos.errors import InputError
from kolossos.simulate.failures import load_table, table_names
from kolossos.simulate.fleet import cold_start_s
from kolossos.simulate.power import step_power
from kolossos.simulate.published import validate_file, validate_operations
from kolossos.simulate.scenario import resolve
from kolossos.simulate.spec import OperationSpec


@pytest.fixture(scope="module")
def comparison() -> dict:
    return validate_operations(replicates=24)


def row(comparison: dict, name: str) -> dict:
    return next(r for r in comparison["rows"] if r["id"] == name)


def test_tables_carry_the_published_totals() -> None:
    total = {name: sum(c.per_1000_node_days for c in load_table(name).causes) for name in table_names()}
    of_job = sum(c.per_day for c in load_table("llama3-2024").causes)
    assert (total["llama3-2024"] * 2.048 + of_job) * 54 == pytest.approx(419)
    assert of_job * 54 == pytest.approx(54 + 7 + 2)  # software, watchdog time-outs, dependencies
    assert total["rsc-1"] == pytest.approx(6.5)
    assert total["rsc-2"] == pytest.approx(2.34)
    assert 1440 / (total["fthsdp-100k"] * 12.25) == pytest.approx(18.0)  # minutes between failures on 98,000 GPUs
    assert total["fthsdp-32k"] == pytest.approx(2.3)


def test_llama_3_is_interrupted_419_times_give_or_take_20(comparison: dict) -> None:
    assert row(comparison, "llama3-interruptions")["agrees"]
    assert row(comparison, "llama3-causes")["agrees"]
    assert row(comparison, "llama3-causes")["simulated"]["mean"] < 2.0


def test_llama_3_trains_over_90_percent_of_the_time(comparison: dict) -> None:
    assert row(comparison, "llama3-effective")["simulated"]["p05"] > 0.90
    assert row(comparison, "llama3-effective-implied")["agrees"]


def test_mean_time_to_failure_of_rsc_1(comparison: dict) -> None:
    assert row(comparison, "rsc1-mttf-16384")["simulated"]["mean"] == pytest.approx(1.8, rel=0.03)
    assert row(comparison, "rsc1-mttf-131072")["simulated"]["mean"] == pytest.approx(0.23, rel=0.03)


def test_the_ettr_formula_holds_within_a_point_where_its_assumptions_do(comparison: dict) -> None:
    found = comparison["summary"]
    assert found["ettr_cells_where_assumptions_hold"] >= 15
    assert found["largest_difference_there_points"] < 1.0
    assert found["largest_distance_from_exact_in_standard_errors"] < 3.5  # 36 cells
    assert all(cell["why"] for cell in comparison["ettr_grid"] if not cell["assumptions_hold"])


def test_claims_for_98000_gpus(comparison: dict) -> None:
    assert row(comparison, "98k-mtbf")["agrees"]
    readings = ("cold-start-and-detection", "cold-start", "printed-stall")
    shares = [row(comparison, f"98k-synchronous-{name}")["simulated"]["mean"] for name in readings]
    assert shares[0] < shares[1] < shares[2]
    assert shares[1] == pytest.approx(0.44, abs=0.05)
    assert abs(row(comparison, "98k-fault-tolerant")["simulated"]["mean"] - 0.80) < 0.05


def test_what_does_not_agree_is_said(comparison: dict) -> None:
    assert row(comparison, "rsc1-mttf-1024")["agrees"] is False
    assert comparison["summary"]["disagree"] >= 1


def test_a_users_run_is_scored_against_its_own_published_figures(tmp_path: Path) -> None:
    values = {"days": 54.0, "replicates": 20, "fleet": {"gpus": 16384}, "published": {"interruptions": 419}}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(values))
    (found,) = validate_file(path)["rows"]
    assert found["within_5_to_95"]
    assert abs(found["relative_error"]) < 0.05
    path.write_text(json.dumps({**values, "published": {"interuptions": 419}}))
    with pytest.raises(InputError, match=r"published\.interuptions is no simulated figure"):
        validate_file(path)


def test_every_parameter_can_be_given_as_json() -> None:
    """What a run says about itself is a complete input again, and gives the same run."""
    spec = operation(fleet={"growth": [{"gpus": 40, "day": 0.5}]}).spec
    again = OperationSpec.parse(json.loads(json.dumps(spec.model_dump(mode="json"))), "json")
    assert again == spec


def test_swing_at_the_step_boundary_is_the_measured_one_scaled_up() -> None:
    """12,500 nodes in step: 13.2 MW on the AC side, 18.4 MW on the DC side (folded from MLPerf 4.0 node power)."""
    spec = OperationSpec.parse(
        {"fleet": {"gpus": 100_000}, "power": {"gpu_watts": 656.25, "host_watts": 200.0}}, "test"
    )
    power = step_power(spec, resolve(spec).phases[0])
    assert power.swing_watts / 1e6 == pytest.approx(13.3, abs=0.3)
    assert power.swing_dc_watts / 1e6 == pytest.approx(18.7, abs=0.4)
    assert power.mean_watts / 1e5 == pytest.approx(856.25)


def test_storage_for_a_flat_draw_is_what_the_profile_leaves_over() -> None:
    spec = OperationSpec.parse({"fleet": {"gpus": 80_000}, "step": {"time_s": 20.0}}, "test")
    power = step_power(spec, resolve(spec).phases[0])
    below = [power.mean_watts - watts for watts in power.profile_watts if watts < power.mean_watts]
    assert power.smoothing_mwh == pytest.approx(sum(below) * 1.0 / 3.6e9, rel=0.05)  # one dip of a step of 20 parts
    assert power.smoothing_watts == pytest.approx(max(below))


def test_cold_starts_pass_through_the_published_ones() -> None:
    assert [cold_start_s(gpus) for gpus in (512, 2_048, 16_384, 98_000)] == [588, 321, 200, 900]
    assert cold_start_s(200_000) > cold_start_s(150_000) > 900
