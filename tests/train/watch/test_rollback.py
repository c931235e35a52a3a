"""A run that rolls back goes on with other data, from a good checkpoint, the same however often it is interrupted."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from signal import SIGTERM

import pytest
import torch
from bad_batches import poisoned_step, train_on_ranks
from hypothesis import given
from hypothesis import strategies as st
from quiet import Listener, train
from rank_pool import RankPool
from test_resume import Cut, assert_same_run, cut_at, weights

from kolossos.errors import InputError
from kolossos.runs.environment import Environment
from kolossos.runs.events import read_events
from kolossos.runs.folder import RunFolder
from kolossos.runs.goodput import read_goodput
from kolossos.runs.paths import RunPaths
from kolossos.runs.rollbacks import Rollback, batch_of, of_history, read_rollbacks
from kolossos.specs.run import RunSpec, load_run
from kolossos.train.checkpoints.folder import CheckpointFolder
from kolossos.train.layouts import require_survivable
from kolossos.train.loop import Loop
from kolossos.train.recorder import Recorder
from kolossos.train.schedule import lr_factor
from kolossos.train.setup import Training, prepare_training
from kolossos.train.start import checkpoints_of
from kolossos.train.survive import rollback

BACK = ["optimizer.bad_steps='roll-back'", "optimizer.name='adamw'", "schedule.steps=16"]


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[int]], None]:
    """``poison(batches)``: whoever learns from one of these global batches has a gradient that is NaN."""
    return lambda batches: monkeypatch.setattr(Training, "step", poisoned_step(batches))


def by_hand(spec: RunSpec, batches: list[int]) -> dict[str, torch.Tensor]:
    """The weights of a plain loop over these global batches."""
    training = prepare_training(spec)
    for step, batch in enumerate(batches):
        training.batch_of = lambda _, batch=batch: batch
        training.step(step, lr_factor(spec.schedule, step), skip_if_not_finite=True)
    return {name: tensor.clone() for name, tensor in training.state().items()}


def test_it_goes_on_from_the_checkpoint_with_the_data_behind_the_bad_step(
    run_file: Path, tmp_path: Path, poison
) -> None:
    spec = load_run(run_file, [*BACK, "optimizer.skip_batches=2"])
    expected = by_hand(spec, [0, 1, 2, 3, 4, 5, 6, 7, *range(12, 20)])
    poison({9})
    listener = Listener()
    assert train(tmp_path / "run", spec, listener).finished
    found = weights(tmp_path / "run", 16)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert listener.lines[0].startswith("step 10: going back to step 8, for its loss is ")
    assert listener.lines[0].endswith("its gradient norm nan; 4 batches are left out")
    events = read_events(tmp_path / "run/metrics.jsonl")
    assert [e["step"] for e in events if e["kind"] == "train"] == list(range(1, 17))
    (told,) = [e for e in events if e["kind"] == "rolled-back"]
    assert (told["step"], told["from_step"], told["batches_left_out"]) == (8, 10, 4)
    assert math.isnan(told["grad_norm"])
    goodput = read_goodput(RunPaths(tmp_path / "run").time)
    assert goodput is not None
    assert goodput.steps_redone == 1
    assert math.fsum(goodput.parts.values()) == pytest.approx(goodput.wall_s)


def test_interrupted_anywhere_it_has_the_bits_of_the_unbroken_run(
    run_file: Path, tmp_path: Path, poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rollbacks, the second to before the first. Cut by a crash after each step, and inside of a rollback."""
    spec = load_run(run_file, [*BACK, "checkpoint.every=3", "optimizer.back_steps=2"])
    poison({4, 10})
    train(tmp_path / "unbroken", spec)
    told = read_rollbacks(RunPaths(tmp_path / "unbroken").rollbacks)
    assert [(one.to, one.bad_step, one.data) for one in told] == [(0, 5, 5), (3, 6, 11)]
    for step in (5, 13):
        folder = tmp_path / f"cut-{step}"
        with pytest.raises(Cut):
            train(folder, spec, cut_at(step))
        assert train(folder, spec).finished
        assert_same_run(tmp_path / "unbroken", folder, 16)
    for place in ("write_rollbacks", "batch_of"):  # before the record is written, and before the state is read
        folder, calls, real = tmp_path / place, 0, getattr(rollback, place)

        def cut(*arguments, real=real) -> object:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise Cut
            return real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(rollback, place, cut)
            with pytest.raises(Cut):
                train(folder, spec)
        assert train(folder, spec).finished
        assert_same_run(tmp_path / "unbroken", folder, 16)


def test_a_cut_between_record_and_event_leaves_the_event_to_the_next_part(
    run_file: Path, tmp_path: Path, poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_run(run_file, BACK)
    poison({9})
    train(tmp_path / "unbroken", spec)

    def cut(*_, **__) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "went_back", cut)
        with pytest.raises(Cut):
            train(tmp_path / "cut", spec)
    assert train(tmp_path / "cut", spec).finished
    assert repr(read_events(tmp_path / "cut/metrics.jsonl", "rolled-back")) == repr(
        read_events(tmp_path / "unbroken/metrics.jsonl", "rolled-back")
    )


def test_a_checkpoint_of_an_interruption_is_not_where_it_goes_back_to(run_file: Path, tmp_path: Path, poison) -> None:
    """Saved by signals at 9, 10 and 11, with two kept: the bad step 12 still goes back to 8."""
    spec = load_run(run_file, BACK)
    poison({11})
    train(tmp_path / "unbroken", spec)
    for at in (9, 10, 11, None):
        listener = Listener()
        training, path = prepare_training(spec), tmp_path / "run"
        folder = RunFolder.open(path) if path.exists() else RunFolder.create(path, spec, training.corpus.tokenizer_path)
        recorder = Recorder(folder, listener, Environment(measured_peak_flops=1e9))
        loop = Loop(training, checkpoints_of(folder), recorder)

        def stop(step: int, at: int | None = at, loop: Loop = loop) -> None:
            if step == at:
                loop.interrupt.by = SIGTERM

        listener.at_step = stop
        assert loop.run().finished == (at is None)
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 16)


def test_copies_in_memory_of_what_was_given_up_are_forgotten(
    run_file: Path, tmp_path: Path, poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLOSSOS_MEMORY", str(tmp_path / "memory"))
    spec = load_run(run_file, [*BACK, "checkpoint.memory_every=1"])
    poison({7})
    train(tmp_path / "unbroken", spec)
    real = Recorder.went_back

    def cut(self: Recorder, *arguments, **more) -> None:
        real(self, *arguments, **more)
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(Recorder, "went_back", cut)
        with pytest.raises(Cut):
            train(tmp_path / "run", spec)
    assert [path.name for path in (tmp_path / "memory").glob("*/step-*") if path.name > "step-00000004"] == []
    with pytest.raises(Cut):
        train(tmp_path / "run", spec, cut_at(7))
    listener = Listener()
    assert train(tmp_path / "run", spec, listener).finished
    assert listener.lines[0] in (f"going on from step {step}, from the memory of the nodes" for step in (5, 6))
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 16)


def test_a_damaged_checkpoint_is_passed_over_and_nothing_good_is_lost(
    run_file: Path, tmp_path: Path, poison, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_run(run_file, [*BACK, "checkpoint.every=2"])
    poison({5})
    real = CheckpointFolder.newest_good

    def damaged(self: CheckpointFolder, say, up_to: int | None = None):
        if up_to is not None:
            file = next((self.all()[-1].store.local or Path()).glob("*.safetensors"))
            file.write_bytes(file.read_bytes()[:-1])
        return real(self, say, up_to)

    monkeypatch.setattr(CheckpointFolder, "newest_good", damaged)
    listener = Listener()
    assert train(tmp_path / "run", spec, listener).finished
    assert "step-00000004 is damaged" in listener.lines[0]
    assert "going back to step 2, " in listener.lines[1]
    assert [one.data for one in read_rollbacks(RunPaths(tmp_path / "run").rollbacks)] == [6]


def test_rollbacks_are_counted_and_the_last_good_checkpoint_stays(run_file: Path, tmp_path: Path, poison) -> None:
    poison(set(range(5, 100)))
    spec = load_run(run_file, [*BACK, "optimizer.rollbacks=2"])
    for _ in range(2):  # the same command again has none left
        with pytest.raises(
            InputError, match=r"in step 5, after 2 rollbacks; the last good checkpoint is .*step-00000004;"
        ):
            train(tmp_path / "run", spec)
    assert len(read_rollbacks(RunPaths(tmp_path / "run").rollbacks)) == 2
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path / "run", 4).values())
    with pytest.raises(InputError, match=r"in step 6; the last good .*step-00000004;"):
        train(tmp_path / "stop", load_run(run_file, [*BACK, "optimizer.bad_steps='stop'"]))


def test_a_record_that_cannot_be_read_ends_the_run_before_it_computes_something_else(
    run_file: Path, tmp_path: Path, poison
) -> None:
    poison({9})
    with pytest.raises(Cut):
        train(tmp_path / "run", load_run(run_file, BACK), cut_at(13))
    path = RunPaths(tmp_path / "run").rollbacks
    record = json.loads(path.read_text())
    path.write_text(json.dumps([{**record[0], "another": 1}]))
    with pytest.raises(InputError, match=r"rollbacks.json: not the record"):
        train(tmp_path / "run", load_run(run_file, BACK))


def test_two_ranks_go_back_together_and_go_on_together_after_a_stop(run_file: Path, tmp_path: Path, poison) -> None:
    """What is bad is seen by rank 0 alone."""
    values = [*BACK, "evaluate.every=0", "schedule.steps=8"]
    layouts = [["layout.dp_shard=2", "layout.micro_batch_size=1"], ["layout.pp=2"]]
    pool, said = RankPool(2, tmp_path / "ranks"), []
    try:
        for number, layout in enumerate(layouts):
            folder = str(tmp_path / f"run-{number}")
            said.append(pool.run(train_on_ranks, str(run_file), [*values, *layout], folder, {5}, 5 * (number == 0)))
        assert said.pop(0)[0] == ["stopped"]
        said.append(pool.run(train_on_ranks, str(run_file), [*values, *layouts[0]], str(tmp_path / "run-0"), {5}, 0))
    finally:
        pool.close()
    assert all("step 6: going back to step 4" in lines[0] and silent == [] for lines, silent in said)
    poison({5})
    train(tmp_path / "alone", load_run(run_file, values))
    expected = [event["loss"] for event in read_events(tmp_path / "alone/metrics.jsonl", "train")]
    for number in range(2):
        events = read_events(tmp_path / f"run-{number}/metrics.jsonl", "train")
        assert [event["step"] for event in events] == list(range(1, 9))
        assert [event["loss"] for event in events] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["checkpoint.every=0"], "set checkpoint.every"),
        (["survival.replicas=true", "layout.dp_replicate=2"], "does not go with survival.replicas"),
    ],
)
def test_what_cannot_go_back_is_refused_by_name(run_file: Path, values: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        require_survivable(load_run(run_file, [*BACK, "layout.micro_batch_size=1", *values]))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 5)), max_size=6))
def test_no_batch_is_read_twice_and_history_is_what_lies_before(tries: list[tuple[int, int, int]]) -> None:
    """Rolling back as a run does it, from any step to any before it."""
    rollbacks: list[Rollback] = []
    for back, further, more in tries:
        to, bad = back, back + further
        rollbacks.append(Rollback(to, bad + 1, batch_of(bad, rollbacks) + 1 + more))
        read = [batch_of(step, rollbacks) for step in range(40)]
        assert read == sorted(set(read))
        assert read[to] > batch_of(bad, rollbacks[:-1])
        assert read[:to] == [batch_of(step, rollbacks[:-1]) for step in range(to)]
    for done in range(12):
        kept = of_history(rollbacks, done)
        assert rollbacks[: len(kept)] == kept
        assert all(one.to > done for one in rollbacks[len(kept) :][:1]) or kept == rollbacks
