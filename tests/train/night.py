"""A run that meets trouble after trouble, drawn from SEED: ``python night.py RUN.toml FOLDER STEPS SEED TROUBLES``.

Every part of the run is the command itself in a process of its own, forked from this one, which has loaded torch and
computed nothing. Prints a line a trouble, and asserts of each part that it ended as it should.
"""

import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import kolossos.serve.sample
import kolossos.train.environment
import kolossos.train.start
import kolossos.train.waiting
from kolossos.cli.main import main as command
from kolossos.runs.events import EventFile
from kolossos.train.checkpoints.names import committed_steps, name_of

WAIT_S = 600
DAY_S = 86400.0


@dataclass
class Ended:
    code: int
    out: str
    err: str


@dataclass
class Part:
    """A process that trains. ``news`` gets a byte when it has done as many steps as it was asked to tell of."""

    pid: int
    news: int
    out: Path
    err: Path

    def wait_for_steps(self) -> None:
        os.read(self.news, 1)  # nothing comes if it ends before

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> Ended:
        deadline = time.monotonic() + WAIT_S
        while (found := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"hung: {self.err.read_text()}")
            time.sleep(0.002)
        os.close(self.news)
        return Ended(os.waitstatus_to_exitcode(found[1]), self.out.read_text(), self.err.read_text())


class Night:
    def __init__(self, run_file: Path, folder: Path, steps: int, seed: int) -> None:
        self.run_file, self.folder, self.steps, self.draw = run_file, folder, steps, random.Random(seed)
        self.logs = Path(tempfile.mkdtemp(prefix="night-"))
        self.parts = 0

    def start(self, tell_after: int = 10**9, before: Callable[[], None] = lambda: None) -> Part:
        self.parts += 1
        out, err = (self.logs / f"{self.parts}.{name}" for name in ("out", "err"))
        news, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.close(news)
                for number, file in ((1, out), (2, err)):
                    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                tell_of_steps(tell_after, tell)
                before()
                sys.argv = ["kolossos", "train", str(self.run_file), "--run", str(self.folder), "--json"]
                sys.argv += ["--set", f"schedule.steps={self.steps}"]
                command()
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 71
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(tell)
        return Part(pid, news, out, err)

    def trouble(self, kind: str) -> str:
        after = self.draw.randint(1, 12)
        return getattr(self, kind)(after)

    def one_signal(self, after: int) -> str:
        number = self.draw.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
        part = self.start(after)
        part.wait_for_steps()
        self.pause()
        part.signal(number)
        ended = part.end()
        assert ended.code in (0, 75), ended
        said = json.loads(ended.out)
        assert ended.code == 0 or said["stopped_by"] == number.name, ended
        assert said["step"] == committed_steps(self.folder / "checkpoints")[-1], ended
        return f"{number.name}, saved at step {said['step']}"

    def same_signal_twice(self, after: int) -> str:
        part = self.start(after)
        part.wait_for_steps()
        part.signal(signal.SIGINT)
        time.sleep(self.draw.choice([0.001, 0.15]))
        if os.waitid(os.P_PID, part.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            part.signal(signal.SIGINT)
        ended = part.end()
        assert ended.code in (0, 75, 130), ended
        json.loads(ended.out)
        return f"code {ended.code}"

    def kill(self, after: int) -> str:
        part = self.start(after)
        part.wait_for_steps()
        self.pause()
        part.signal(signal.SIGKILL)
        part.end()
        return f"after {after} steps"

    def disk_full(self, _: int) -> str:
        sizes = [file.stat().st_size for file in self.folder.rglob("*") if file.is_file()]
        limit = round(self.draw.uniform(0, 1.1 * max([*sizes, 1000])) ** self.draw.choice([0.5, 1.0]))
        part = self.start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        ended = part.end()
        if limit > 1000:  # else not even the line that says so can be written into this log
            assert ended.code in (0, 2), (limit, ended)
            assert ended.code == 0 or ended.err.splitlines()[-1].startswith("error: "), ended
            assert "Traceback" not in ended.err, ended
        return f"files of at most {limit:,} bytes, code {ended.code}"

    def damaged_checkpoint(self, after: int) -> str:
        steps = committed_steps(self.folder / "checkpoints")
        if not steps:
            return "no checkpoint yet; " + self.kill(after)
        newest = self.folder / "checkpoints" / name_of(steps[-1])
        file = self.draw.choice(sorted(newest.iterdir()))
        content = bytearray(file.read_bytes())
        how = self.draw.choice(["cut", "altered", "gone"])
        place = self.draw.randrange(len(content))
        if how == "cut":
            file.write_bytes(content[:place])
        elif how == "altered":
            content[place] ^= 1 << self.draw.randrange(8)
            file.write_bytes(content)
        else:
            file.unlink()
        return f"{file.name} of step {steps[-1]} {how} at byte {place}; killed " + self.kill(after)

    def second_process(self, after: int) -> str:
        first = self.start(after)
        first.wait_for_steps()
        first.signal(signal.SIGSTOP)  # alive, and not done before the second one asks
        second = self.start()
        ended = second.end()
        first.signal(signal.SIGCONT)
        assert ended.code == 2 or ended.code == 0, ended
        assert ended.code == 0 or f"process {first.pid} on " in ended.err, ended
        first.signal(signal.SIGTERM)
        assert first.end().code in (0, 75)
        return f"refused, code {ended.code}"

    def clock_set_back(self, after: int) -> str:
        days = self.draw.choice([-400.0, -1.0, 3.0])
        real = time.time

        def set_clock() -> None:
            time.time = lambda: real() + days * DAY_S

        part = self.start(after, set_clock)
        part.wait_for_steps()
        part.signal(signal.SIGKILL)
        part.end()
        return f"by {days:g} days"

    def pause(self) -> None:
        time.sleep(self.draw.uniform(0, 0.03))


KINDS = (
    "one_signal",
    "kill",
    "disk_full",
    "damaged_checkpoint",
    "second_process",
    "clock_set_back",
    "same_signal_twice",
)


def tell_of_steps(count: int, news: int) -> None:
    """Write a byte into ``news`` with the ``count``-th event that this process writes down."""
    write, seen = EventFile.write, []

    def counted(self: EventFile, *event: object) -> None:
        write(self, *event)  # type: ignore[arg-type]
        seen.append(None)
        if len(seen) == count:
            os.write(news, b".")

    EventFile.write = counted  # type: ignore[method-assign]


def main() -> None:
    run_file, folder, steps, seed, troubles = sys.argv[1:]
    torch.set_num_threads(1)
    kolossos.train.environment.PEAK_SECONDS = 0.0
    kolossos.train.waiting.cores_of_others = lambda sample_s=0.0: 0.0
    night = Night(Path(run_file), Path(folder), int(steps), int(seed))
    kinds = [KINDS[i % len(KINDS)] for i in range(int(troubles))]
    night.draw.shuffle(kinds)
    for kind in kinds:
        print(f"{kind}: {night.trouble(kind)}", flush=True)
    ended = night.start().end()
    assert ended.code == 0, ended
    assert json.loads(ended.out)["finished"], ended


if __name__ == "__main__":
    main()
