"""The exactness that the README promises, at length: compiled, two threads, killed at a random moment, one cache."""

import os
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


@pytest.mark.parametrize("instructions", ["avx2", "default"])
def test_what_was_compiled_for_other_instructions_is_not_used(
    instructions: str, run_file: Path, tmp_path: Path
) -> None:
    """One cache of compiled code for two kinds of processor: a graph with the wrong vectors corrupts the heap."""
    shared = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")}
    other = shared | {"ATEN_CPU_CAPABILITY": instructions, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    alone = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "own")}
    for name, environment in (("other", other), ("shared", shared), ("other again", other), ("alone", alone)):
        given = command(run_file, tmp_path / name, "compute.compile=on")
        subprocess.run(given, check=True, capture_output=True, env=environment)
    assert_same_run(tmp_path / "shared", tmp_path / "alone", 12)
    assert_same_run(tmp_path / "other", tmp_path / "other again", 12)
