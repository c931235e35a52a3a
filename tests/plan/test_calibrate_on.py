"""Measured steps of one's own move the coefficients as Bayes' rule says, and narrow their neighbours' interval."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kolossos.cli.main import app
from kolossos.errors import InputError
from kolossos.plan.answer.calibrate_on import calibrate
from kolossos.plan.answer.layout_text import read_layout
from kolossos.plan.answer.request import PlanRequest, answer_question, read_request
from kolossos.plan.calibrated.coefficients import WIDTHS
from kolossos.plan.calibrated.shifts import shifted
from kolossos.plan.calibrated.update import load_prior, narrowing, posterior
from kolossos.plan.job import Job
from kolossos.plan.search.layout_parts import price_if_allowed
from kolossos.specs.catalogue import load_cluster, load_model

MODEL, CLUSTER, GPUS = "llama-3.1-8b", "colossus-100k", 64
NEAR = "tp=2,micro_batch_size=1,dp_shard=32,global_batch_size=128,precision=bf16"
OTHER = "tp=2,micro_batch_size=2,dp_shard=32,global_batch_size=128,precision=bf16"
FAR = "tp=8,pp=4,dp_shard=2,micro_batch_size=1,global_batch_size=1024,precision=fp8"


def job() -> Job:
    return Job.of(load_model(MODEL), load_cluster(CLUSTER), n_gpus=GPUS)


def seconds(of: Job, layout: str) -> float:
    made = read_layout(layout, of)
    return price_if_allowed(of.with_layout(made), made).step_time_s


def written(folder: Path, *rows: tuple[str, float]) -> Path:
    file = folder / "mine.csv"
    file.write_text("layout,step_time_s\n" + "".join(f'"{layout}",{step}\n' for layout, step in rows))
    return file


def test_the_posterior_is_where_the_slope_of_the_bayesian_loss_is_zero() -> None:
    random, prior = np.random.default_rng(0), load_prior()
    slopes, errors = random.normal(size=(3, len(WIDTHS))), 0.1 * random.normal(size=3)
    widths = prior.scale * np.array(list(WIDTHS.values()))
    found = posterior(errors, slopes, prior)

    def loss(at: np.ndarray) -> float:
        return ((errors + slopes @ at) ** 2).sum() / prior.noise**2 + ((at / widths) ** 2).sum()

    for direction in random.normal(size=(20, len(WIDTHS))) * widths:
        assert loss(found + 1e-3 * direction) > loss(found) < loss(found - 1e-3 * direction)


def test_a_slower_machine_is_found_from_one_step_of_it(tmp_path: Path) -> None:
    """Its matrix products and its fabric are worse than published ones; another layout's step is then predicted."""
    truth = {("card", "matmul_scale_bf16"): 0.06, ("card", "fabric_efficiency"): -0.15}
    theirs = replace(job(), shifts=truth)
    file = written(tmp_path, (NEAR, seconds(theirs, NEAR)))
    found = calibrate(job(), file)
    before = abs(np.log(seconds(job(), OTHER) / seconds(theirs, OTHER)))
    after = abs(np.log(seconds(found.applied(job()), OTHER) / seconds(theirs, OTHER)))
    assert before > 0.03
    assert after < before / 3
    assert abs(found.errors[0][1]) < abs(found.errors[0][0]) / 5


def test_what_was_predicted_moves_nothing_and_makes_surer(tmp_path: Path) -> None:
    found = calibrate(job(), written(tmp_path, (NEAR, seconds(job(), NEAR))))
    assert max(map(abs, found.shifts.values())) < 1e-9
    near, far = (
        found.narrowing(job().with_layout(made), made) for made in (read_layout(t, job()) for t in (OTHER, FAR))
    )
    assert near < far <= 1.0


def test_more_rows_never_widen() -> None:
    random, prior = np.random.default_rng(1), load_prior()
    slopes, step = random.normal(size=(6, len(WIDTHS))), random.normal(size=len(WIDTHS))
    widths = [narrowing(step, slopes[:rows], prior) for rows in range(1, 7)]
    assert widths == sorted(widths, reverse=True)
    assert 0 < widths[-1] <= widths[0] <= 1


def test_a_factor_is_a_factor_of_its_column() -> None:
    _, hardware, software = job()._surroundings
    shifts = {("card", "memory_efficiency"): np.log(2.0), ("software", "jitter"): np.log(3.0)}
    moved, small = shifted(hardware, software, shifts)
    assert moved.memory_bytes_per_s == pytest.approx(2 * hardware.memory_bytes_per_s)
    assert small.jitter == pytest.approx(3 * software.jitter)
    assert (moved.nic_bytes_per_s, small.step_overhead_s) == (hardware.nic_bytes_per_s, software.step_overhead_s)


def test_the_answer_has_a_narrower_interval_around_what_was_moved(tmp_path: Path) -> None:
    file = written(tmp_path, (NEAR, 1.1 * seconds(job(), NEAR)))
    request = PlanRequest(model=MODEL, cluster=CLUSTER, tokens=1e9, gpus=GPUS, layout=OTHER)
    plain = answer_question(read_request(request))
    mine = answer_question(read_request(replace(request, calibrate_on=file)))
    assert 1.05 < mine.priced.step_time_s / plain.priced.step_time_s < 1.15
    widths = [np.log(high / low) for low, high in (a.intervals["step_time_s"] for a in (plain, mine))]
    assert widths[1] == pytest.approx(mine.narrowing * widths[0])
    assert mine.narrowing < 1.0


def test_the_command_says_what_it_changed(tmp_path: Path) -> None:
    file = written(tmp_path, (NEAR, 1.1 * seconds(job(), NEAR)))
    asked = ["plan", MODEL, "--cluster", CLUSTER, "--gpus", str(GPUS), "--layout", OTHER, "--calibrate-on", str(file)]
    said = CliRunner().invoke(app, asked)
    assert "Calibrated on 1 measured step" in " ".join(said.stdout.split())
    record = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)["calibration"]
    assert record["rows"][0]["error_before"] == pytest.approx(1 / 1.1 - 1, abs=1e-6)
    assert abs(record["rows"][0]["error_after"]) < 0.02
    assert set(record["factors"]) == {f"{kind}.{name}" for kind, name in WIDTHS}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'layout'"),
        ("layout\ntp=2\n", "no column 'step_time_s'"),
        ("layout,step_time_s,gpu_count\ntp=2,1,3\n", "unknown column 'gpu_count'"),
        ("layout,step_time_s\n", "0 rows"),
        ("layout,step_time_s\ntp=2,fast\n", "row 1, column step_time_s: 'fast': expected seconds above 0"),
        ("layout,step_time_s\ntp=2,0\n", "row 1, column step_time_s: '0'"),
        ("layout,step_time_s\ntp=2,nan\n", "row 1, column step_time_s: 'nan'"),
        ("layout,step_time_s\ntp=2,\n", "row 1, column step_time_s: empty"),
        ("layout,step_time_s\n,1\n", "row 1: column layout: empty"),
        ("layout,step_time_s\ntq=2,1\n", "row 1: layout tq=2"),
        ("layout,step_time_s\ntp=5,1\n", "row 1: "),
        ("layout,step_time_s,gpus\ntp=2,1,2.5\n", "row 1, column gpus: '2.5': expected a whole number above 0"),
        ("layout,step_time_s,model\ntp=2,1,llama-9\n", "row 1: "),
    ],
)
def test_a_wrong_file_is_one_line_with_its_row(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        calibrate(job(), file)
    assert str(error.value).startswith(str(file))
    assert said in str(error.value)
    assert "\n" not in str(error.value)
