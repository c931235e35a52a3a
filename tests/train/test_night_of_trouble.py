"""One run through a night of trouble: signals, kill -9, full disks, damaged checkpoints, a rival, a clock set back.

Its last weights are bitwise those of the unbroken run, and every loss that it logged is the same.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from test_resume import assert_same_run

NIGHT = Path(__file__).with_name("night.py")


def night(run_file: Path, folder: Path, steps: int, seed: int, troubles: int) -> list[str]:
    """What happened, a line a trouble."""
    arguments = [str(run_file), str(folder), str(steps), str(seed), str(troubles)]
    done = subprocess.run([sys.executable, str(NIGHT), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("steps", "seed", "troubles"),
    [pytest.param(40, 1, 6, id="an hour"), pytest.param(360, 2, 60, id="a night", marks=pytest.mark.slow)],
)
def test_a_troubled_run_is_bitwise_the_unbroken_one(
    steps: int, seed: int, troubles: int, run_file: Path, tmp_path: Path
) -> None:
    run_file.write_text(run_file.read_text().replace("[evaluate]", "[evaluate]\nevery = 7"))
    assert night(run_file, tmp_path / "unbroken", steps, seed, 0) == []
    assert len(night(run_file, tmp_path / "troubled", steps, seed, troubles)) == troubles
    assert_same_run(tmp_path / "unbroken", tmp_path / "troubled", steps)
