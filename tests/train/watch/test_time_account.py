"""A run that is killed and goes on is one run, and its time is accounted for as one."""

import json
import math
from pathlib import Path

import pytest
from quiet import Listener, train

from kolossos.report.document import make_report
from kolossos.runs.goodput import read_goodput
from kolossos.runs.prometheus import exposition
from kolossos.specs.run import load_run


class Killed(BaseException):
    pass


@pytest.fixture
def folder(run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a run that was killed behind step 7 and went on to its end."""
    monkeypatch.setattr("kolossos.train.loop.TIMES_S", 0.0)
    monkeypatch.setattr("kolossos.train.loop.TELL_S", 0.0)

    def killed(step: int) -> None:
        if step == 7:
            raise Killed

    folder = tmp_path / "run"
    with pytest.raises(Killed):
        train(folder, load_run(run_file), Listener(killed))
    assert train(folder, load_run(run_file)).finished
    return folder


def test_a_run_in_two_attempts_has_one_account(folder: Path) -> None:
    found = read_goodput(folder / "time.jsonl")
    assert found is not None
    assert found.attempts == 2
    assert found.steps_redone == 2  # 5 and 6; where the time of 7 went nobody wrote down
    assert math.fsum(found.parts.values()) == pytest.approx(found.wall_s, abs=1e-6)
    for name in ("compute", "data_wait", "checkpoint", "validation", "set_up", "restart", "lost"):
        assert found.parts[name] > 0, name
    assert 0 < found.share < 1


def test_the_report_has_the_account_and_the_steps_of_each_rank_of_a_run_in_two_attempts(folder: Path) -> None:
    document = make_report(folder, None)
    found = json.loads(document.json)
    account = found["wall_time"]
    assert math.fsum(account["parts_s"].values()) == pytest.approx(account["wall_s"], abs=1e-6)
    assert (account["attempts"], account["steps_redone"]) == (2, 2)
    (rank,) = found["steps_by_rank"]
    assert rank["steps"] == 14  # the seventh step was not told of when the run was killed
    for part in ("step", "compute", "data_wait", "checkpoint"):
        of_part = rank["seconds"][part]
        assert 0 < of_part["p50"] <= of_part["p95"] <= of_part["p99"]
    assert "Where the time went" in document.markdown
    assert "Steps by rank" in document.markdown
    curves = b"".join(path.read_bytes() for path in (folder / "tensorboard").iterdir())
    assert b"step_s/p95/rank-0" in curves
    assert b"checkpoint_s/p99/all" in curves
    assert 'kolossos_step_seconds{rank="0",part="step",quantile="0.95"} ' in exposition(folder, 1)
