"""Steps that stand out change nothing, and a run that was interrupted decides as one that was not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from quiet import train
from test_resume import Cut, assert_same_run, cut_at

from kolossos.runs.events import read_events
from kolossos.specs.run import load_run
from kolossos.train.setup import Training
from kolossos.train.step import StepResult
from kolossos.train.watch import spikes
from kolossos.train.watch.spikes import Spikes


def decisions(losses: np.ndarray, norms: np.ndarray, sigmas: float, window: int) -> list[bool]:
    """The rule as NumPy has it: the last ``window`` finite ones, half of them at least."""
    found, seen = [], np.empty((0, 2))
    for new in np.stack([losses, norms], 1):
        last = seen[-window:]
        far = new > last.mean(0) + sigmas * last.std(0) if len(last) else np.array([False])
        found.append(bool(far.any()) and len(seen) >= window // 2)
        if np.isfinite(new).all():
            seen = np.concatenate([seen, new[None]])
    return found


def test_the_rule_is_that_of_the_mean_and_spread_of_the_last_steps() -> None:
    random = np.random.default_rng(7)
    losses, norms = (random.normal(3.0, 0.1, 60).astype(np.float32) for _ in range(2))
    losses[[3, 20, 41]] += 5.0  # 3: too few were seen
    norms[30] = 9.0
    norms[33] = np.nan
    watch, found = Spikes(4.0, torch.device("cpu"), window=16), []
    for loss, norm in zip(losses, norms, strict=True):
        found.append(bool(watch.stands_out(torch.tensor(loss), torch.tensor(norm))))
        watch.remember(torch.tensor(loss), torch.tensor(norm))
    assert found == decisions(losses, norms, 4.0, 16)
    assert {20, 30, 41} <= {step for step, far in enumerate(found) if far}
    assert not found[3]


def test_a_new_level_is_soon_no_spike() -> None:
    watch, found = Spikes(3.0, torch.device("cpu"), window=8), []
    for step in range(40):
        loss = torch.tensor(1.0 + 0.01 * (step % 3) + 2.0 * (step >= 20))
        found.append(bool(watch.stands_out(loss, torch.tensor(1.0))))
        watch.remember(loss, torch.tensor(1.0))
    assert found[20]
    assert not any(found[24:])


def spiking(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """The gradients of step ``at`` (from 0) are a thousand times as large."""
    monkeypatch.setattr(spikes, "WINDOW", 6)
    real = Training.step

    def step(self: Training, number: int, lr_factor: float, *, skip_if_not_finite: bool = False) -> StepResult:
        hooks = []
        if number == at:
            hooks = [p.register_hook(lambda gradient: gradient * 1000.0) for p in self.model.parameters()]
        result = real(self, number, lr_factor, skip_if_not_finite=skip_if_not_finite)
        for hook in hooks:
            hook.remove()
        return result

    monkeypatch.setattr(Training, "step", step)


def test_a_spike_is_skipped_alike_by_a_run_that_was_interrupted(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spiking(monkeypatch, 9)
    spec = load_run(run_file, ["optimizer.skip_spikes=6.0", "optimizer.name='adamw'"])
    assert train(tmp_path / "whole", spec).finished
    events = read_events(tmp_path / "whole" / "metrics.jsonl")
    assert [event["step"] for event in events if event["kind"] == "skipped"] == [10]
    with pytest.raises(Cut):
        train(tmp_path / "cut", spec, cut_at(7))
    assert train(tmp_path / "cut", spec).finished
    assert_same_run(tmp_path / "whole", tmp_path / "cut", 12)
