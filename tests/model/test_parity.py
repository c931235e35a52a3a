"""The network against xAI's own code."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kolossos.errors import InputError
from kolossos.model.parity import compare

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("file", "largest", "mean"), [("grok1_a.npz", 1e-4, 1e-5), ("grok1_b.npz", 1e-2, 5e-4)])
def test_logits_are_those_of_the_published_grok_1(file: str, largest: float, mean: float) -> None:
    result = compare(GOLDEN / file)
    assert result["max_abs_diff"] <= largest
    assert result["mean_abs_diff"] <= mean


def test_parity_command_prints_one_json_line() -> None:
    command = [sys.executable, "-m", "kolossos.model.parity", str(GOLDEN / "grok1_a.npz")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.count("\n") == 1
    assert json.loads(out)["max_abs_diff"] < 1e-4


def test_vectors_that_lack_a_parameter_are_named(tmp_path: Path) -> None:
    with np.load(GOLDEN / "grok1_a.npz") as archive:
        kept = {key: archive[key] for key in archive.files if "router" not in key}
    np.savez(tmp_path / "cut.npz", **kept)
    with pytest.raises(InputError, match=r"cut\.npz.*router/w.*missing"):
        compare(tmp_path / "cut.npz")
