"""Where the files of a run lie. Every file name of a run folder is spelt here.

run.toml           the resolved run file; a folder with it is a run
lock               who trains here now (kolossos/runs/lock.py)
promise.json       what a plan said, if a plan made the run file
environment.json   software, machine, measured peak
tokenizer.json     so that the folder can be used without the data (with tokenizer_config.json, if there is one)
metrics.jsonl      one event a line; the first gives the units
rollbacks.json     when the run went back to a checkpoint, and which data it left out (kolossos/runs/rollbacks.py)
time.jsonl         where the time went, over all attempts (kolossos/runs/goodput.py)
tensorboard/       the same for TensorBoard
checkpoints/       a folder each, which kolossos/train/checkpoints/ explains
samples/           text written during training
plots/             loss.png
replicas.jsonl     which replicas left and came, when and why (kolossos/launch/supervise.py)
watch/             where each rank of several is now (kolossos/train/watch/), how long its steps took (step_times.py)
hang.json          who waited where when a run of several ranks hung and was ended
report/            what `kolossos report` writes
"""

from dataclasses import dataclass
from pathlib import Path

TOKENIZER_CONFIG = "tokenizer_config.json"
RUN_FILE = "run.toml"
RUNS_FOLDER = "runs"  # where a run goes that is not told where


@dataclass(frozen=True)
class RunPaths:
    """The files in ``folder``, whether they are there or not."""

    folder: Path

    @property
    def run_file(self) -> Path:
        return self.folder / RUN_FILE

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def promise(self) -> Path:
        return self.folder / "promise.json"

    @property
    def environment(self) -> Path:
        return self.folder / "environment.json"

    @property
    def tokenizer(self) -> Path:
        return self.folder / "tokenizer.json"

    @property
    def tokenizer_config(self) -> Path:
        return self.folder / TOKENIZER_CONFIG

    @property
    def replicas(self) -> Path:
        return self.folder / "replicas.jsonl"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def rollbacks(self) -> Path:
        return self.folder / "rollbacks.json"

    @property
    def time(self) -> Path:
        return self.folder / "time.jsonl"

    @property
    def tensorboard(self) -> Path:
        return self.folder / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def sample(self, step: int) -> Path:
        return self.folder / "samples" / f"step-{step:08d}.txt"

    @property
    def loss_plot(self) -> Path:
        return self.folder / "plots" / "loss.png"

    @property
    def watch(self) -> Path:
        return self.folder / "watch"

    def watch_of(self, rank: int) -> Path:
        return self.watch / f"rank-{rank:05d}.json"

    def steps_of(self, rank: int) -> Path:
        return self.watch / f"steps-{rank:05d}.json"

    @property
    def hang(self) -> Path:
        return self.folder / "hang.json"

    @property
    def report(self) -> Path:
        return self.folder / "report"


def is_run_folder(folder: Path) -> bool:
    """Whether there is a run file in it."""
    return (folder / RUN_FILE).is_file()
