"""Where the time of a run went: the parts of all attempts add up to its wall time."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolossos.runs.goodput import PARTS, TimeFile, read_goodput


def write(path: Path, *attempts: tuple[float, int, list[tuple[float, int, dict[str, float]]]]) -> None:
    for time, step, stretches in attempts:
        file = TimeFile(path)
        file.begin(time, step, 2.0)
        for stretch in stretches:
            file.spent(*stretch)
        file.close()


def test_what_is_done_again_is_lost_and_what_is_between_is_restart(tmp_path: Path) -> None:
    path = tmp_path / "time.jsonl"
    first = (100.0, 0, [(110.0, 4, {"update": 3.0, "data": 6.0}), (115.0, 6, {"sums": 5.0})])
    write(path, first)
    with open(path, "a") as file:
        file.write('{"kind": "spent", "time": 11')  # killed while it wrote
    write(path, (120.0, 4, [(130.0, 8, {"forward and backward": 8.0, "checkpoint": 2.0})]))
    found = read_goodput(path)
    assert found is not None
    assert (found.wall_s, found.attempts, found.steps_redone) == (32.0, 2, 2)
    assert {name: seconds for name, seconds in found.parts.items() if seconds} == {
        "set_up": 2.0,
        "compute": 11.0,
        "data_wait": 6.0,
        "other": 1.0,
        "lost": 5.0,
        "restart": 5.0,
        "checkpoint": 2.0,
    }
    assert found.share == pytest.approx(11 / 32)


def test_nothing_written_is_no_goodput(tmp_path: Path) -> None:
    assert read_goodput(tmp_path / "time.jsonl") is None


seconds = st.floats(0, 1e5)
stretch = st.tuples(seconds, st.integers(0, 5), st.dictionaries(st.sampled_from(sorted(PARTS)), seconds, max_size=4))


@given(st.lists(st.tuples(seconds, st.integers(0, 30), st.lists(stretch, max_size=5)), min_size=1, max_size=5))
def test_parts_add_up_to_the_wall_time(tmp_path_factory: pytest.TempPathFactory, story: list) -> None:
    path, now, attempts = tmp_path_factory.mktemp("run") / "time.jsonl", 1.7e9, []
    for pause, step, stretches in story:
        now += pause
        attempts.append((now, step, []))
        for longer, steps, parts in stretches:
            now, step = now + longer + math.fsum(parts.values()), step + steps
            attempts[-1][2].append((now, step, parts))
    write(path, *attempts)
    found = read_goodput(path)
    assert found is not None
    assert math.fsum(found.parts.values()) == pytest.approx(found.wall_s, rel=1e-9, abs=1e-6)
    assert found.wall_s == pytest.approx(now - attempts[0][0] + 2.0, abs=1e-6)
    assert all(amount > -1e-4 for amount in found.parts.values())
