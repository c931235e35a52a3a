"""Full disks, a second process, other data under a run, signals at any moment: nothing is lost and nothing hangs."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from quiet import Listener
from test_resume import assert_same_run, command

import kolossos.files
import kolossos.train.environment
import kolossos.train.setup
from kolossos.data.corpus.corpus import Corpus
from kolossos.data.options import PrepareOptions
from kolossos.data.prepare import prepare
from kolossos.errors import InputError
from kolossos.files import AppendFile
from kolossos.runs.folder import RunFolder
from kolossos.runs.lock import only_one
from kolossos.serve.score import score
from kolossos.specs.run import load_run
from kolossos.train.lifecycle.data import facts
from kolossos.train.lifecycle.interrupt import Interrupt, StoppedAtOnce
from kolossos.train.lifecycle.outcome import Outcome
from kolossos.train.lifecycle.request import request_run
from kolossos.train.run import run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kolossos.train.environment, "PEAK_SECONDS", 0.0)
    monkeypatch.setattr("kolossos.train.waiting.cores_of_others", lambda: 0.0)


def train(run_or_folder: Path, folder: Path | None = None, *sets: str, listener=None, **options) -> Outcome:
    wanted = request_run(run_or_folder, list(sets), folder=folder, **options)
    return run(wanted, listener or Listener(), lambda *_: lambda model: "a sample")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own; `sized` sets how much it holds."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def sized(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


def test_a_full_disk_ends_in_one_line_and_with_room_the_run_goes_on_exactly(
    disk: Path, run_file: Path, tmp_path: Path
) -> None:
    train(run_file, tmp_path / "unbroken", "evaluate.every=3")
    for size in ("4k", "16k", "40k", "64k", "300k", "700k", "1100k", "1500k"):
        sized(disk, f"size={size}")
        said = ""
        try:
            assert train(run_file, disk / "run", "evaluate.every=3").finished
        except InputError as error:
            said = str(error)
        assert not said or "no space left" in said
        assert "\n" not in said
        newest = sorted((disk / "run/checkpoints").glob("step-*"))[-1:]
        assert not newest or "stopped" not in said or newest[0].name in said
    sized(disk, "size=64m")
    assert train(run_file, disk / "run", "evaluate.every=3").finished
    assert_same_run(tmp_path / "unbroken", disk / "run", 12)


@pytest.mark.parametrize("what", ["tensorboard", "samples", "plots", "environment.json"])
def test_what_can_be_done_without_is_left_out_and_said(what: str, run_file: Path, tmp_path: Path) -> None:
    train(run_file, tmp_path / "unbroken", "evaluate.every=5", "schedule.steps=6")
    full = OSError(errno.ENOSPC, "No space left on device")

    def fails_there(path: Path) -> None:
        if what in str(path):
            raise full

    with pytest.MonkeyPatch.context() as patch:
        append, open_whole = AppendFile.__init__, kolossos.files.whole_file

        def opened(self: AppendFile, path: Path) -> None:
            fails_there(path)
            append(self, path)

        def whole(path: Path):
            fails_there(path)
            return open_whole(path)

        patch.setattr(AppendFile, "__init__", opened)
        patch.setattr("kolossos.files.whole_file", whole)
        patch.setattr("kolossos.runs.plot.whole_file", whole)
        listener = Listener()
        sets = ("evaluate.every=5", "schedule.steps=6")
        assert train(run_file, tmp_path / "run", *sets, listener=listener).finished
    said = [line for line in listener.lines if "no space left on the disk: going on without" in line]
    assert len(said) == 1
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 6)


@pytest.mark.parametrize("at", [1, 10, 40])
def test_curves_that_cannot_be_written_any_more_end_and_training_goes_on(
    at: int, run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard's own writer has a thread: it died of a full disk, and training waited for it for ever."""
    append, left = AppendFile.append, [at * 50]

    def fills(self: AppendFile, record: bytes) -> None:
        if not record.startswith(b"{"):
            left[0] -= len(record)
            if left[0] < 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        append(self, record)

    monkeypatch.setattr(AppendFile, "append", fills)
    listener = Listener()
    assert train(run_file, tmp_path / "run", listener=listener).finished
    assert sum("going on without TensorBoard's curves" in line for line in listener.lines) == 1


def test_events_that_cannot_be_written_end_the_run_and_name_the_checkpoint(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run_file, tmp_path / "unbroken")
    original, calls = os.write, []

    def fills(descriptor: int, content: bytes) -> int:
        if bytes(content).startswith(b'{"step"'):  # an event, not where the time went
            calls.append(None)
            if len(calls) == 7:
                return original(descriptor, content[:10])  # a part of the line fits
            if len(calls) > 7:
                raise OSError(errno.ENOSPC, "No space left on device")
        elif len(calls) >= 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(descriptor, content)

    with monkeypatch.context() as patch:
        patch.setattr("kolossos.files.os.write", fills)
        with pytest.raises(InputError, match=r"stopped: no space left on the disk; the last good .*step-00000004; the"):
            train(run_file, tmp_path / "run")
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(7))  # units, six whole steps and no torn line
    assert train(run_file, tmp_path / "run").finished
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 12)


HOLD = """
import sys
from pathlib import Path
from kolossos.runs.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def rival(run_file: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A process that trains in the folder ``run``."""
    train(run_file, tmp_path / "run", "schedule.steps=4")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_training_in_a_folder_is_refused_until_the_first_is_gone(
    rival: subprocess.Popen, run_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "run/checkpoints/step-00000004").rename(tmp_path / "gone")
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    for options in ({}, {"fresh": True}):
        with pytest.raises(InputError, match=rf"process {rival.pid} on \S+ trains here now"):
            train(run_file, tmp_path / "run", "schedule.steps=4", **options)
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before
    rival.kill()  # the lock dies with it
    rival.wait()
    assert train(run_file, tmp_path / "run", "schedule.steps=4").finished


def test_a_lock_makes_no_folder_that_stays_empty(tmp_path: Path) -> None:
    with only_one(tmp_path / "runs/one"):
        assert (tmp_path / "runs/one/lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_data_prepared_again_are_refused_and_data_that_moved_are_not(
    data_folder: Path, run_file: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(data_folder, data)
    train(run_file, tmp_path / "unbroken", f"data.path={data}")
    train(run_file, tmp_path / "run", f"data.path={data}", listener=Listener(stop_at(5)))
    moved = tmp_path / "moved"
    data.rename(moved)
    (tmp_path / "text.txt").write_text("\n\n".join(f"another text, line {i}, {i * i}" for i in range(3000)))
    prepare([str(tmp_path / "text.txt")], data, PrepareOptions(vocab_size=400, near_threshold=None), workers=1)
    with pytest.raises(InputError, match="not the data that the run began with"):
        train(tmp_path / "run")
    with pytest.raises(InputError, match="not the data that the run began with"):
        score(tmp_path / "run", precision="fp32")
    outcome = train(tmp_path / "run", None, f"data.path={moved}")
    assert outcome.finished
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 12)
    (change,) = RunFolder.open(tmp_path / "run").spec.changes
    assert (change.key, change.after, change.step) == ("data.path", str(moved), 5)
    assert score(tmp_path / "run", precision="fp32").evaluation.tokens > 0


def stop_at(step: int, number: int = signal.SIGTERM):
    def at_step(done: int) -> None:
        if done == step:
            os.kill(os.getpid(), number)

    return at_step


@pytest.mark.parametrize("number", Interrupt.SIGNALS, ids=lambda number: number.name)
def test_every_signal_saves_and_ends(number: signal.Signals, run_file: Path, tmp_path: Path) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # whatever the tests were started under
    try:
        outcome = train(run_file, tmp_path / "run", listener=Listener(stop_at(5, number)))
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert (outcome.step, outcome.finished, outcome.stopped_by, outcome.at_once) == (5, False, number, False)
    assert (tmp_path / "run/checkpoints/step-00000005").is_dir()


def test_a_signal_in_the_last_validation_saves_and_the_score_comes_later(run_file: Path, tmp_path: Path) -> None:
    class Stops(Listener):
        def evaluating(self, tokens: int, total: int) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    train(run_file, tmp_path / "unbroken")
    outcome = train(run_file, tmp_path / "run", listener=Stops())
    assert (outcome.step, outcome.finished, outcome.stopped_by) == (12, False, signal.SIGTERM)
    outcome = train(tmp_path / "run")
    assert outcome.finished
    assert not outcome.nothing_to_do
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 12)


def test_a_validation_on_the_way_that_a_signal_ended_is_made_up_for(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run_file, tmp_path / "unbroken", "evaluate.every=5")
    evaluate = kolossos.train.setup.evaluate

    def interrupted(*arguments: object):
        os.kill(os.getpid(), signal.SIGUSR1)
        return evaluate(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(kolossos.train.setup, "evaluate", interrupted)
        assert train(run_file, tmp_path / "run", "evaluate.every=5").step == 5
    assert train(tmp_path / "run").finished
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 12)


def test_the_same_signal_twice_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kolossos.train.lifecycle.interrupt.ONE_PRESS_S", 0.0)
    with Interrupt() as interrupt, interrupt.patience():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGUSR1)  # another one: systemd sends TERM and HUP
        assert interrupt.requested
        with pytest.raises(StoppedAtOnce) as stopped:
            os.kill(os.getpid(), signal.SIGUSR1)
        assert stopped.value.by == signal.SIGUSR1


def test_a_signal_before_the_first_step_ends_at_once_with_an_outcome(run_file: Path, tmp_path: Path) -> None:
    class Stops(Listener):
        def say(self, text: str) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    outcome = train(run_file, tmp_path / "run", listener=Stops())
    assert (outcome.step, outcome.at_once, outcome.stopped_by) == (0, True, signal.SIGTERM)
    assert not (tmp_path / "run").exists()


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interrupt() as interrupt, interrupt.patience():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_command_tells_a_script_that_it_was_stopped(run_file: Path, tmp_path: Path) -> None:
    arguments = [*command(run_file, tmp_path / "run", "schedule.steps=100000"), "--json"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "step 1/" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 75
    assert json.loads(out)["stopped_by"] == "SIGTERM"
    assert out.count("\n") == 1


def test_a_watcher_that_is_gone_ends_nothing(run_file: Path, tmp_path: Path) -> None:
    class Gone(Listener):
        def say(self, *_: object) -> None:
            raise BrokenPipeError

        step = evaluating = say  # type: ignore[assignment]

    assert train(run_file, tmp_path / "run", "schedule.steps=3", listener=Gone()).finished


def test_a_read_only_run_can_be_used_and_going_on_is_refused(disk: Path, run_file: Path) -> None:
    sized(disk, "size=64m")
    train(run_file, disk / "run", listener=Listener(stop_at(5)))
    sized(disk, "ro")
    with pytest.raises(InputError, match="nothing can be trained here: it cannot be written"):
        train(disk / "run")
    assert score(disk / "run", precision="fp32").evaluation.tokens > 0
    sized(disk, "rw")
    train(disk / "run")
    sized(disk, "ro")
    assert train(disk / "run").nothing_to_do
    sized(disk, "rw")


def test_an_empty_folder_becomes_a_run_and_so_does_one_that_a_crash_left(run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert train(run_file, tmp_path / "empty", "schedule.steps=2").finished
    (tmp_path / "left/.new").mkdir(parents=True)
    (tmp_path / "left/lock").touch()
    (tmp_path / "left/tokenizer.json").touch()
    assert train(run_file, tmp_path / "left", "schedule.steps=2").finished


def test_fresh_replaces_what_a_link_points_to(run_file: Path, tmp_path: Path) -> None:
    train(run_file, tmp_path / "real", "schedule.steps=2")
    (tmp_path / "real/notes.txt").touch()
    (tmp_path / "link").symlink_to("real")
    assert train(run_file, tmp_path / "link", "schedule.steps=3", fresh=True).step == 3
    assert (tmp_path / "link").is_symlink()
    assert RunFolder.open(tmp_path / "real").spec.schedule.steps == 3
    assert not (tmp_path / "real/notes.txt").exists()


def test_a_folder_that_is_not_there_is_no_missing_file(run_file: Path, tmp_path: Path) -> None:
    train(run_file, tmp_path / "runs/first", "schedule.steps=2")
    with pytest.raises(InputError, match="no run folder and no run file of that name; did you mean 'first'"):
        request_run(tmp_path / "runs/frist", [])
    with pytest.raises(InputError, match="no such file"):
        request_run(tmp_path / "none.toml", [])


def test_a_clock_set_back_changes_neither_bits_nor_curves(
    run_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_recording import shown_steps

    train(run_file, tmp_path / "unbroken")
    train(run_file, tmp_path / "run", listener=Listener(stop_at(6)))
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert train(tmp_path / "run").finished
    assert_same_run(tmp_path / "unbroken", tmp_path / "run", 12)
    assert shown_steps(tmp_path / "run/tensorboard", "train/loss") == list(range(1, 13))


def test_what_is_waited_for_and_how_large_all_is_are_said(run_file: Path, tmp_path: Path) -> None:
    listener = Listener()
    train(run_file, tmp_path / "run", "schedule.steps=2", listener=listener)
    assert listener.lines[0] == "loading torch and the data"
    line = next(line for line in listener.lines if "parameters" in line)
    assert "active for a token" in line
    assert "tokens of data" in line
    assert "are read in 2 steps" in line
    corpus = Corpus.open(load_run(run_file).data.path)
    all_in_a_step = [f"layout.global_batch_size={corpus.split('train').n_tokens // 64}", "layout.micro_batch_size=1"]
    assert "read 3.0 times in 3 steps" in facts(load_run(run_file, ["schedule.steps=3", *all_in_a_step]), corpus)
