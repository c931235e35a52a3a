"""Files changed at random are read or refused in one line, without a traceback and without private text.

``benchmarks/robustness/fuzz_readers.py`` does the same many thousand times.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import fuzz_inputs
import pytest
from fuzz_inputs import MARKER, read_input, write_input
from hypothesis import given, settings
from hypothesis import strategies as st

NUMBERS = st.integers(0, 1 << 40)
EXAMPLES = 300 if settings.default is not None and settings.default.derandomize else 3000


@settings(max_examples=EXAMPLES)
@given(NUMBERS)
def test_any_input_is_read_or_refused_in_one_line_and_nothing_private_comes_out(number: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outcome, texts = read_input(write_input(number, Path(folder)), number)
    assert not any(MARKER in text for text in texts)
    assert MARKER not in str(outcome)


@pytest.mark.parametrize("first", [0, 1000])
def test_damaged_parquet_is_read_or_refused_or_ends_a_process_of_its_own(first: int, tmp_path: Path) -> None:
    places = []
    for number in range(first, first + 20):
        folder = tmp_path / str(number)
        folder.mkdir()
        places.append(f"{write_input(number, folder, parquet=True)} {number}\n")
    command = [sys.executable, str(Path(fuzz_inputs.__file__))]
    done = subprocess.run(command, input="".join(places), capture_output=True, text=True, check=False)
    assert set(done.stdout.splitlines()) <= {"read", "refused"}
