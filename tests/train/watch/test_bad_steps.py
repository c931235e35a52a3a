"""A loss or gradient that is not finite: what the loop does about it."""

import math
from pathlib import Path

import pytest
import torch
from quiet import Listener, train
from test_resume import logged, weights

from kolossos.errors import InputError
from kolossos.runs.events import read_events
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.bad_steps import STOP_AFTER, may_update, on_step
from kolossos.train.setup import Training
from kolossos.train.step import StepResult

ONE, NAN, INF = (torch.tensor(value) for value in (1.0, math.nan, math.inf))


def test_the_policy() -> None:
    assert on_step(may_update(ONE, ONE), 9) == "keep"
    for loss, norm in ((NAN, ONE), (ONE, NAN), (INF, ONE), (ONE, -INF)):
        kept = may_update(loss, norm)
        assert not kept
        assert on_step(kept, 0) == "skip"
        assert on_step(kept, STOP_AFTER - 2) == "skip"
        assert on_step(kept, STOP_AFTER - 1) == "stop"


def test_the_decision_is_made_on_the_device(run_spec: RunSpec) -> None:
    assert may_update(ONE.to("meta"), ONE.to("meta")).is_meta


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch):
    """``poison(steps)``: a gradient of these steps (from 0) is NaN; with ``damage``, a weight."""
    real = Training.step

    def install(steps: set[int], *, damage: bool = False) -> None:
        def poisoned(self: Training, step: int, lr_factor: float, *, skip_if_not_finite: bool = False) -> StepResult:
            if step not in steps:
                return real(self, step, lr_factor, skip_if_not_finite=skip_if_not_finite)
            weight = self.model.norm.weight
            if damage:
                with torch.no_grad():
                    weight.fill_(math.nan)
            hook = weight.register_hook(lambda gradient: gradient * math.nan)
            result = real(self, step, lr_factor, skip_if_not_finite=skip_if_not_finite)
            hook.remove()
            return result

        monkeypatch.setattr(Training, "step", poisoned)

    return install


def test_bad_steps_are_recorded_and_the_run_goes_on(run_file: Path, tmp_path: Path, poison) -> None:
    poison({2, 3, 6})
    listener = Listener()
    assert train(tmp_path / "run", load_run(run_file), listener).finished
    events = read_events(tmp_path / "run/metrics.jsonl")
    assert [e["step"] for e in events if e["kind"] == "skipped"] == [3, 4, 7]
    assert [e["step"] for e in events if e["kind"] == "train"] == [1, 2, 5, 6, 8, 9, 10, 11, 12]
    assert math.isnan(next(e for e in events if e["kind"] == "skipped")["grad_norm"])
    assert "NaN" not in (tmp_path / "run/metrics.jsonl").read_text()
    assert listener.lines[0].startswith("step 3: skipped, for its loss is ")
    assert "gradient norm nan (1 in a row;" in listener.lines[0]
    assert "(2 in a row;" in listener.lines[1]
    assert "(1 in a row;" in listener.lines[2]


def test_too_many_in_a_row_stop_the_run_and_leave_its_checkpoints(run_file: Path, tmp_path: Path, poison) -> None:
    spec = load_run(run_file, ["schedule.steps=40", "checkpoint.every=3", "checkpoint.keep=1"])
    poison(set(range(7, 40)), damage=True)
    with pytest.raises(
        InputError,
        match=r"in step 9, and the weights are damaged; the last good checkpoint is .*step-00000006;",
    ):
        train(tmp_path / "damaged", spec)
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path / "damaged", 6).values())
    assert not (tmp_path / "damaged/checkpoints/step-00000009").exists()


def test_ten_in_a_row_are_an_error_that_names_the_last_checkpoint(run_file: Path, tmp_path: Path, poison) -> None:
    spec = load_run(run_file, ["schedule.steps=40", "checkpoint.every=20"])
    poison(set(range(22, 40)))
    with pytest.raises(
        InputError,
        match=r"in 10 steps in a row, the last of them step 32; the last good .*step-00000020;",
    ):
        train(tmp_path / "run", spec)
    assert [p.name for p in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000020"]


def test_a_run_that_was_skipping_goes_on_as_if_it_had_not_been_interrupted(
    run_file: Path, tmp_path: Path, poison
) -> None:
    poison({2, 3, 4})
    spec = load_run(run_file, ["checkpoint.every=4"])
    train(tmp_path / "unbroken", spec)

    class Cut(BaseException):
        pass

    def cut(step: int) -> None:
        if step == 6:
            raise Cut

    with pytest.raises(Cut):
        train(tmp_path / "cut", spec, Listener(cut))
    train(tmp_path / "cut", spec)
    unbroken, cut_and_resumed = tmp_path / "unbroken", tmp_path / "cut"
    assert repr(logged(unbroken)) == repr(logged(cut_and_resumed))  # NaN is not equal to itself
    left, right = weights(unbroken, 12), weights(cut_and_resumed, 12)
    assert all(torch.equal(left[name], right[name]) for name in left)


def nan_gradients(training: Training, steps: set[int]) -> None:
    """Make the gradients of these calls of backward NaN from within."""
    count = iter(range(1_000_000))

    def hook(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.nan if next(count) in steps else gradient

    training.model.norm.weight.register_hook(hook)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_step_that_is_not_finite_changes_neither_weights_nor_optimizer(optimizer: str, run_file: Path) -> None:
    from kolossos.train.setup import prepare_training

    training = prepare_training(load_run(run_file, [f"optimizer.name={optimizer}", "layout.micro_batch_size=4"]))
    training.step(0, 1.0, skip_if_not_finite=True)
    before = {name: tensor.clone() for name, tensor in training.state().items()}
    nan_gradients(training, {0})
    result = training.step(1, 1.0, skip_if_not_finite=True)
    assert on_step(result.kept, 0) == "skip"
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.state().items())
    assert all(parameter.grad is None for parameter in training.model.parameters())
    after = training.step(2, 1.0, skip_if_not_finite=True)
    assert on_step(after.kept, 1) == "keep"
