"""The planner against 792 published training steps, and against what it must beat.

The figures on sources that the fit did not see are made by benchmarks/fit_plan.py; here the shipped coefficients must
go on explaining the shipped measurements.
"""

import csv
from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.plan.published.score import score

MEASUREMENTS = Path(__file__).parents[2] / "benchmarks" / "measurements"


@pytest.fixture(scope="module")
def result():
    return score(MEASUREMENTS / "measurements.csv", MEASUREMENTS / "models.json")


def test_step_times_are_predicted_within_six_percent(result):
    assert result["summary"]["all"]["rows"] >= 780
    assert result["summary"]["all"]["mean_absolute_error"] < 0.06
    assert abs(result["summary"]["all"]["bias"]) < 0.02


def test_megatron_on_h100_is_predicted_within_five_percent(result):
    assert result["summary"]["by_generation"]["megatron-2024"]["mean_absolute_error"] < 0.05
    assert result["summary"]["by_gpu"]["h100"]["mean_absolute_error"] < 0.05


def test_vtrain_is_within_five_percent_and_its_layouts_in_order(result):
    vtrain = result["summary"]["by_generation"]["megatron-deepspeed-2023"]
    assert vtrain["mean_absolute_error"] < 0.05
    assert vtrain["kendall"] > 0.82
    assert vtrain["regret"] < 0.01


def test_a_single_efficiency_is_beaten_by_far(result):
    everything = result["summary"]["all"]
    assert everything["mean_absolute_error"] < 0.3 * everything["constant_efficiency_error"]


def test_nine_of_ten_measurements_lie_in_their_interval(result):
    assert 0.88 <= result["summary"]["all"]["coverage_90"] <= 0.97
    for row in result["rows"]:
        assert row["low_s"] < row["predicted_step_time_s"] < row["high_s"]


def test_what_cannot_be_priced_is_counted_with_its_reason(result):
    with (MEASUREMENTS / "measurements.csv").open(newline="") as file:
        rows = len(list(csv.DictReader(file)))
    assert len(result["rows"]) + sum(result["skipped"].values()) == rows
    assert result["skipped"]["workload lora"] == 28


def test_nothing_is_called_fitting_that_ran_out_of_memory(result):
    assert result["summary"]["memory"]["out_of_memory_called_fitting"] == []


def test_a_file_that_is_no_table_of_measurements_is_one_clear_line(tmp_path):
    path = tmp_path / "wrong.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column 'id'"):
        score(path, None)
    with pytest.raises(InputError, match="no such file"):
        score(tmp_path / "absent.csv", None)


def test_models_missing_from_the_file_come_from_the_catalogue(tmp_path):
    with (MEASUREMENTS / "measurements.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if row["model"] == "grok-1-314b"]
    path = tmp_path / "grok.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert len(score(path, None)["rows"]) == 14
