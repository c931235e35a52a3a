"""Percentiles of steps by rank: counts in buckets, added up over attempts and ranks."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.runs.paths import RunPaths
from kolossos.runs.step_times import StepTimes, Times, read_step_times, slowest, times_of_ranks, together


@given(st.lists(st.floats(1e-5, 1e5), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_that_of_all_values_within_half_a_percent(values: list[float], share: float) -> None:
    times = Times()
    for value in values:
        times.add(value)
    wanted = np.quantile(values, share, method="inverted_cdf")
    assert times.quantile(share) == pytest.approx(wanted, rel=0.0051)


def test_of_nothing_there_is_no_quantile_and_no_part() -> None:
    assert math.isnan(Times().quantile(0.5))
    assert StepTimes().percentiles() == {}


def test_what_ranks_wrote_is_read_again_counts_on_and_adds_up(tmp_path: Path) -> None:
    files = RunPaths(tmp_path)
    for rank, seconds in enumerate((0.1, 0.1, 0.4)):
        times = StepTimes(rank, f"n{rank}")
        for _ in range(5):
            times.add_step(seconds, {"data": 0.01, "forward and backward": 0.05, "update": 0.02, "writing": 9.0})
        times.add_checkpoint(2.0)
        times.write(files.steps_of(rank))
        again = read_step_times(files.steps_of(rank))
        assert again is not None
        assert again.parts == times.parts
        again.add_step(seconds, {})
        again.write(files.steps_of(rank))
    files.steps_of(3).write_text('{"rank": 3, "ho')  # cut off
    ranks = times_of_ranks(tmp_path, 5)
    assert [(one.rank, one.host, one.steps) for one in ranks] == [(0, "n0", 6), (1, "n1", 6), (2, "n2", 6)]
    assert [one.rank for one in slowest(ranks, 1)] == [2]
    whole = together(ranks)
    assert whole.steps == 18
    found = whole.percentiles()
    assert found["step"] == pytest.approx({"p50": 0.1, "p95": 0.4, "p99": 0.4}, rel=0.006)
    assert found["compute"]["p50"] == pytest.approx(0.07, rel=0.006)
    assert found["checkpoint"]["p99"] == pytest.approx(2.0, rel=0.006)
    assert "replay" not in found
