"""A run made longer is bitwise the run that asked for so many steps at once, or is refused."""

from pathlib import Path

import pytest
from quiet import Listener
from test_nothing_lost import stop_at, train
from test_resume import assert_same_run

from kolossos.errors import InputError
from kolossos.runs.folder import RunFolder
from kolossos.specs.run import ScheduleSpec
from kolossos.train.lifecycle.request import request_run
from kolossos.train.schedule import decay_start, lr_factor, same_rate_until

WSD = ("schedule.kind=wsd", "schedule.decay_fraction=0.25")


def test_a_finished_run_goes_back_to_before_its_decay_and_on(run_file: Path, tmp_path: Path) -> None:
    train(run_file, tmp_path / "at once", *WSD, "schedule.steps=24", "checkpoint.keep=1")
    assert train(run_file, tmp_path / "longer", *WSD, "checkpoint.keep=1").step == 12
    kept = sorted(place.name for place in (tmp_path / "longer/checkpoints").iterdir())
    assert kept == ["step-00000009", "step-00000012"]
    listener = Listener()
    assert train(tmp_path / "longer", None, "schedule.steps=24", listener=listener).step == 24
    assert any("going back from step 12 to 9" in line for line in listener.lines)
    assert_same_run(tmp_path / "at once", tmp_path / "longer", 24)
    (change,) = RunFolder.open(tmp_path / "longer").spec.changes
    assert (change.step, change.key, change.before, change.after) == (9, "schedule.steps", 12, 24)


def test_an_unfinished_run_loses_nothing_and_its_run_file_still_goes_on_with_it(run_file: Path, tmp_path: Path) -> None:
    train(run_file, tmp_path / "at once", *WSD, "schedule.steps=24")
    train(run_file, tmp_path / "run", *WSD, listener=Listener(stop_at(7)))
    run_file.write_text(run_file.read_text().replace("steps = 12", "steps = 12\nkind = 'wsd'\ndecay_fraction = 0.25"))
    outcome = train(run_file, tmp_path / "run", "schedule.steps=24", listener=Listener(stop_at(9)))
    assert (outcome.step, outcome.finished) == (9, False)
    assert request_run(run_file, [], folder=tmp_path / "run").spec.schedule.steps == 24
    assert train(run_file, tmp_path / "run").step == 24
    assert_same_run(tmp_path / "at once", tmp_path / "run", 24)


def test_what_would_change_steps_that_are_done_is_refused(run_file: Path, tmp_path: Path) -> None:
    train(run_file, tmp_path / "cosine")
    before = (tmp_path / "cosine/run.toml").read_bytes()
    with pytest.raises(InputError, match=r"cannot become 24: .* a cosine depends on it from the first step"):
        train(tmp_path / "cosine", None, "schedule.steps=24")
    assert (tmp_path / "cosine/run.toml").read_bytes() == before
    train(run_file, tmp_path / "wsd", *WSD, "checkpoint.keep=1")
    for path in (tmp_path / "wsd/checkpoints").glob("*9"):
        path.rename(tmp_path / "gone")
    with pytest.raises(InputError, match="the checkpoint from before its decay is not there"):
        train(tmp_path / "wsd", None, "schedule.steps=24")


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.5, 1.0])
def test_the_rate_of_wsd_depends_on_the_number_of_steps_in_the_decay_alone(fraction: float) -> None:
    short, long = (ScheduleSpec(steps=steps, warmup_steps=3, kind="wsd", decay_fraction=fraction) for steps in (40, 90))
    start = decay_start(short)
    assert same_rate_until(short, long) == max(start + 1, 3) if fraction < 1 else True
    assert all(lr_factor(short, step) == lr_factor(long, step) for step in range(same_rate_until(short, long)))
