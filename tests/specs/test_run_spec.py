"""A run's spec is read once and changed by methods."""

from pathlib import Path

import pytest

from kolossos.errors import InputError
from kolossos.specs.run import Change, RunSpec, changed_keys, load_run

RUN = """
name = "small"
[model]
spec = "grok-nano"
n_layers = 2
[data]
path = "data"
[schedule]
steps = 100
warmup_steps = 7
"""


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    (tmp_path / "run.toml").write_text(RUN)
    return load_run(tmp_path / "run.toml")


@pytest.mark.parametrize(("steps", "warmup"), [(100, 7), (200, 14), (50, 4), (10, 1), (3, 1), (1, 1)])
def test_other_steps_keep_the_share_of_warm_up(steps: int, warmup: int, spec: RunSpec) -> None:
    changed = spec.with_steps(steps)
    assert (changed.schedule.steps, changed.schedule.warmup_steps) == (steps, warmup)
    assert changed.model_copy(update={"schedule": spec.schedule}) == spec
    assert spec.schedule.steps == 100


def test_without_warm_up_there_is_none_with_other_steps(spec: RunSpec) -> None:
    assert spec.with_overrides(["schedule.warmup_steps=0"], "x").with_steps(50).schedule.warmup_steps == 0


def test_overrides_of_a_spec_are_those_of_its_file(spec: RunSpec, tmp_path: Path) -> None:
    for overrides in (["optimizer.lr=0.5", "compute.threads=3"], ["model.n_layers=3", "model.moe.top_k=1"], []):
        assert spec.with_overrides(overrides, "x") == load_run(tmp_path / "run.toml", overrides)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lrr=1", "x: unknown key 'optimizer.lrr'; did you mean 'lr'"),
        ("schedule.warmup_steps=101", "warmup_steps = 101 exceeds steps = 100"),
        ("layout.seq_len=4096", "exceeds the model's max_seq_len"),
    ],
)
def test_changes_are_checked(override: str, message: str, spec: RunSpec) -> None:
    with pytest.raises(InputError, match=message):
        spec.with_overrides([override], "x")


def test_impossible_numbers_are_refused(spec: RunSpec) -> None:
    with pytest.raises(ValueError, match="threads"):
        spec.with_threads(-1)
    with pytest.raises(ValueError, match="steps"):
        spec.with_steps(0)


def test_a_run_shortened_by_time_is_scored_and_saved_as_many_times(spec: RunSpec) -> None:
    often = spec.with_overrides(["evaluate.every=25", "checkpoint.every=50"], "x")
    short = often.fitted(10)
    assert (short.schedule.steps, short.evaluate.every, short.checkpoint.every) == (10, 2, 5)
    long = often.fitted(1000)
    assert (long.schedule.steps, long.evaluate.every, long.checkpoint.every) == (1000, 25, 50)
    assert spec.fitted(10).evaluate.every == 0  # only at the end


def test_the_history_of_a_run_is_read_as_it_was_written(spec: RunSpec, tmp_path: Path) -> None:
    change = Change(step=3, key="data.path", before="data", after="/elsewhere")
    changed = spec.with_changes([change]).with_data("0" * 64)
    (tmp_path / "again.toml").write_text(changed.to_toml())
    assert load_run(tmp_path / "again.toml") == changed
    assert changed_keys(spec.with_data("0" * 64), changed) == []
    assert "changes" not in spec.to_toml()
