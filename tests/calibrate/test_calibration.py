"""What a calibration leaves behind, and what it does with bad input and Ctrl-C."""

import math
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import synthetic_calibration as synthetic

from kolossos.calibrate import power, run
from kolossos.calibrate.file import cluster_toml, hardware, hardware_toml
from kolossos.calibrate.machine import this_machine
from kolossos.calibrate.run import calibrate
from kolossos.cli.main import main
from kolossos.errors import InputError
from kolossos.plan.kernels.measured import measured_product_seconds
from kolossos.specs.catalogue import load_cluster, load_gpu


def test_the_file_loads_and_predicts_the_products_it_came_from(tmp_path: Path) -> None:
    calibration = synthetic.calibration()
    path = tmp_path / "this.toml"
    path.write_text(hardware_toml(hardware(calibration, "this", "2.x"), calibration, "kolossos calibrate"))
    gpu = load_gpu(str(path))
    assert gpu.measured is not None
    made = calibration.products["bf16"]
    predicted = measured_product_seconds(gpu, "bf16", *made.shapes.T)
    assert abs(predicted / made.seconds - 1).max() < 1e-3  # five digits of each coefficient
    assert gpu.peak("bf16") == 1.8e12
    head = path.read_text().split("name =")[0]
    assert all(known in head for known in ("Test Processor", "2 threads", "torch 2.x", "kolossos calibrate"))
    assert os.uname().nodename not in path.read_text()


def test_power_that_cannot_be_read_is_absent_and_asking_for_it_says_what_to_do(tmp_path: Path) -> None:
    calibration = synthetic.calibration()
    text = hardware_toml(hardware(calibration, "this", "2.x"), calibration, "kolossos calibrate")
    assert "watts =" not in text
    assert "power is absent" in text
    (tmp_path / "this.toml").write_text(text)
    with pytest.raises(InputError, match="write tdp_watts = WATTS"):
        _ = load_gpu(str(tmp_path / "this.toml")).tdp_watts


def test_the_cluster_of_one_computer_loads_with_its_hardware(tmp_path: Path) -> None:
    calibration = synthetic.calibration()
    spec = hardware(calibration, "this", "2.x")
    path, cluster_path = tmp_path / "this.toml", tmp_path / "one.toml"
    path.write_text(hardware_toml(spec, calibration, "kolossos calibrate"))
    cluster_path.write_text(cluster_toml(spec, 1, str(path)))
    cluster = load_cluster(str(cluster_path))
    assert cluster.n_gpus == 1
    assert load_gpu(cluster.pools[0].gpu).name == "this"
    assert cluster.fabric.nic_bytes_per_s == pytest.approx(synthetic.BANDWIDTH)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "no/such/folder/this.toml"], "there is no folder no/such/folder"),
        (["--out", "this.json"], "must end in .toml"),
        (["--seconds", "0"], "seconds = 0: expected"),
        (["--out", "a.toml", "--cluster-out", "a.toml"], "the same file"),
        (["--threads", "-1"], "threads = -1"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["kolossos", "calibrate", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert words in said


def test_an_interrupted_calibration_leaves_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kolossos", "calibrate", "--seconds", "60", "--out", "a.toml"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # who starts the tests may ignore it
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        assert process.stderr is not None
        assert "matrix products" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode != 0
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_three_seconds_on_this_computer_give_plausible_figures() -> None:
    stages: list[str] = []
    calibration = calibrate(3.0, lambda stage, share: stages.append(stage))
    spec = hardware(calibration, "here", "2.x")
    measured = spec.measured
    assert measured is not None
    assert spec.family == this_machine().family
    assert 1e9 < spec.peak("fp32") < 1e15
    assert 1e8 < spec.memory_bandwidth_bytes_per_s < 1e14
    assert 1e-8 < measured.operation_s < 1e-2
    for fit in [*measured.products.values(), *measured.attention.values()]:
        assert math.isfinite(fit.held_out_error)
        assert fit.rate_flops_per_s > 0
    if spec.family == "cpu":
        assert {fit.kind for fit in measured.collectives} == {"all-reduce", "all-gather", "all-to-all"}
        assert all(1e6 < fit.bandwidth_bytes_per_s < 1e13 for fit in measured.collectives)
    assert stages[-1] == "done"


def test_collectives_that_fail_are_said_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no route")

    monkeypatch.setattr(run, "measure_collectives", fail)
    notes: list[str] = []
    assert run._collectives(synthetic.calibration().machine, 1.0, lambda: None, notes) == []
    assert "no route" in notes[0]


def test_rapl_counts_packages_once_and_is_absent_without_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power, "RAPL", tmp_path)
    assert power._joules() is None
    for zone, joules in (("intel-rapl:0", 3), ("intel-rapl:1", 4), ("intel-rapl:0:0", 100)):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "energy_uj").write_text(str(joules * 1_000_000))
    assert power._joules() == pytest.approx(7.0)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert power._joules() is None
