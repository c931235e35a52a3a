"""The number of steps that fits into a time, corrected on the way, and a run that goes on exactly."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quiet import Listener

from kolossos.runs.folder import RunFolder
from kolossos.specs.run import ScheduleSpec
from kolossos.train import loop
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.lifecycle.request import request_run
from kolossos.train.schedule import StepBudget, lr_factor
from kolossos.train.setup import prepare_training
from kolossos.train.start import start_run


def run_with(budget: float, guess: int, seconds_of_step, decay: float = 0.5) -> tuple[float, list[float], ScheduleSpec]:
    """The time a run takes, the rates it had and the schedule it ends with; ``guess`` steps at first."""
    schedule = ScheduleSpec(steps=guess, warmup_steps=3, kind="wsd", decay_fraction=decay)
    fit, spent, done, rates = StepBudget(budget), 0.0, 0, []
    while done < schedule.steps:
        rates.append(lr_factor(schedule, done))
        took = seconds_of_step(done, spent)
        spent, done = spent + took, done + 1
        steps = fit.refit(schedule, done, step_seconds=took, spent=spent)
        schedule = schedule.model_copy(update={"steps": steps})
    return spent, rates, schedule


@pytest.mark.parametrize("wrong_by", [0.5, 0.75, 1.25, 2.0])
def test_a_wrong_first_guess_is_corrected(wrong_by: float) -> None:
    spent, _, _ = run_with(300.0, round(300 * wrong_by / 0.4), lambda *_: 0.4)
    assert spent == pytest.approx(300.0, rel=0.02)


def test_a_machine_that_becomes_slower_early_still_keeps_the_time() -> None:
    spent, _, _ = run_with(300.0, 750, lambda _, spent: 0.4 if spent < 60 else 0.6)
    assert spent == pytest.approx(300.0, rel=0.03)


@given(st.floats(0.3, 3.0), st.lists(st.floats(0.1, 2.0), min_size=50, max_size=50), st.sampled_from([0.1, 0.5, 0.9]))
def test_every_step_had_the_rate_of_the_schedule_in_the_run_file_at_the_end(
    wrong_by: float, paces: list[float], decay: float
) -> None:
    _, rates, schedule = run_with(100.0, round(100 * wrong_by), lambda step, _: paces[step % 50], decay)
    assert rates == [lr_factor(schedule, step) for step in range(len(rates))]


def test_a_cosine_depends_on_its_steps_from_the_beginning_and_stays() -> None:
    cosine = ScheduleSpec(steps=50, kind="cosine")
    assert StepBudget(10.0).refit(cosine, 5, step_seconds=3.0, spent=9.0) == 50


def test_a_run_of_so_many_minutes_is_the_run_of_so_many_steps(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, whatever was guessed first."""
    monkeypatch.setattr(loop, "seconds_per_step", lambda training: 1.0)
    monkeypatch.setattr("kolossos.train.start.seconds_per_step", lambda training: 1.0)
    refits = iter([12, 12, 18, 18, 16])

    def refit(self: StepBudget, schedule: ScheduleSpec, done: int, **_: float) -> int:
        return next(refits, schedule.steps)

    monkeypatch.setattr(StepBudget, "refit", refit)
    wsd = ["schedule.kind=wsd", "schedule.decay_fraction=0.5"]
    wanted = request_run(run_file, wsd, folder=tmp_path / "timed", minutes=0.2)
    assert start_run(wanted, Listener()).step == 16
    made = RunFolder.open(tmp_path / "timed").spec
    assert made.schedule.steps == 16

    again = request_run(run_file, wsd, folder=tmp_path / "timed", minutes=0.2)
    assert again.spec.schedule == made.schedule
    assert start_run(again, Listener()).nothing_to_do

    asked = [*wsd, "schedule.steps=16", f"schedule.warmup_steps={made.schedule.warmup_steps}"]
    start_run(request_run(run_file, asked, folder=tmp_path / "asked"), Listener())
    weights = []
    for name in ("timed", "asked"):
        training = prepare_training(RunFolder.open(tmp_path / name).spec)
        checkpoint = CheckpointFolder(tmp_path / name / "checkpoints", 2).newest_good(print)
        assert checkpoint is not None
        checkpoint.load(training.state())
        weights.append(training.model.state_dict())
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
