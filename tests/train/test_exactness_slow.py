"""The exactness that the README promises, at length: compiled, two threads, killed at a random moment."""

import random
import subprocess
from pathlib import Path

import pytest
from test_resume import assert_same_run, command, kill_after

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_200_steps_killed_on_the_way_equal_200_steps(precision: str, run_file: Path, tmp_path: Path) -> None:
    overrides = (
        "schedule.steps=200",
        "checkpoint.every=25",
        f"layout.precision={precision}",
        "compute.compile=on",
        "compute.threads=2",
    )
    subprocess.run(command(run_file, tmp_path / "unbroken", *overrides), check=True, capture_output=True)
    moment = random.randrange(60, 160)
    kill_after(subprocess.Popen(command(run_file, tmp_path / "killed", *overrides)), tmp_path / "killed", moment)
    subprocess.run(command(run_file, tmp_path / "killed", *overrides), check=True, capture_output=True)
    assert_same_run(tmp_path / "unbroken", tmp_path / "killed", 200)
