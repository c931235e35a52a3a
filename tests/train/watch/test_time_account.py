"""A run that is killed and goes on is one run, and its time is accounted for as one."""

import math
from pathlib import Path

import pytest
from quiet import Listener, train

from kolossos.runs.goodput import read_goodput
from kolossos.specs.run import load_run


class Killed(BaseException):
    pass


def test_a_run_in_two_attempts_has_one_account(run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kolossos.train.loop.TELL_S", 0.0)

    def killed(step: int) -> None:
        if step == 7:
            raise Killed

    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(folder, load_run(run_file), Listener(killed))
    assert train(folder, load_run(run_file)).finished
    found = read_goodput(folder / "time.jsonl")
    assert found is not None
    assert found.attempts == 2
    assert found.steps_redone == 2  # 5 and 6; where the time of 7 went nobody wrote down
    assert math.fsum(found.parts.values()) == pytest.approx(found.wall_s, abs=1e-6)
    for name in ("compute", "data_wait", "checkpoint", "validation", "set_up", "restart", "lost"):
        assert found.parts[name] > 0, name
    assert 0 < found.share < 1
