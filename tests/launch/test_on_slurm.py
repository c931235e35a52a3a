"""The script on a real Slurm: two of three nodes train, a signal stops them saved, Slurm requeues, they finish."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_here import NODES, asked, cluster, why_not

from kolossos.runs.events import read_events
from kolossos.runs.paths import RunPaths
from kolossos.train.checkpoints.names import committed_steps

STEPS = 60
PATIENCE_S = 400.0


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_a_signal_is_a_checkpoint_and_a_requeue_and_the_run_finishes(run_file: Path, tmp_path: Path) -> None:
    if not all(resolves(node) for node in NODES):
        pytest.skip(f"{', '.join(NODES)} must stand in /etc/hosts as 127.0.0.1")
    folder, script = tmp_path / "run", tmp_path / "job.sbatch"
    words = ["launch", str(run_file), "--on", "slurm", "--run", str(folder), "--out", str(script)]
    words += ["--per-node", "1", "--spares", "1", "--set", "layout.dp_shard=2", "--set", "layout.micro_batch_size=1"]
    words += ["--set", f"schedule.steps={STEPS}"]
    subprocess.run([sys.executable, "-m", "kolossos", *words], check=True)
    with cluster(tmp_path / "slurm") as slurm:
        submitted = subprocess.run(["sbatch", str(script)], env=slurm, cwd=tmp_path, capture_output=True, text=True)
        job = submitted.stdout.split()[-1]
        log = tmp_path / f"small-{job}.log"
        wait_for(lambda: len(committed_steps(folder / "checkpoints")) > 0, log)
        asked(slurm, "scancel", "--signal=USR1", "--batch", job)
        wait_for(lambda: "Restarts=1" in asked(slurm, "scontrol", "show", "job", job), log)
        assert "ended with exit code 75" in log.read_text()
        stopped = committed_steps(folder / "checkpoints")[-1]
        assert 0 < stopped < STEPS
        wait_for(lambda: "JobState=COMPLETED" in asked(slurm, "scontrol", "show", "job", job), log)
    assert "ended with exit code 0" in log.read_text()
    steps = [event["step"] for event in read_events(folder / "metrics.jsonl", "train")]
    assert steps == list(range(1, STEPS + 1))
    measured = {path.stem for path in (tmp_path / "job.sbatch.health" / f"{job}-0").glob("*.json")}
    assert measured == set(NODES)


@pytest.mark.slow
@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_replicas_are_steps_of_their_own_and_one_that_is_killed_comes_back(run_file: Path, tmp_path: Path) -> None:
    if not all(resolves(node) for node in NODES):
        pytest.skip(f"{', '.join(NODES)} must stand in /etc/hosts as 127.0.0.1")
    folder, script = tmp_path / "run", tmp_path / "job.sbatch"
    words = ["launch", str(run_file), "--on", "slurm", "--run", str(folder), "--out", str(script), "--per-node", "1"]
    for value in ("survival.replicas=true", "survival.silent_seconds=5", "layout.dp_replicate=2"):
        words += ["--set", value]
    words += ["--set", "layout.micro_batch_size=1", "--set", "schedule.steps=300"]
    subprocess.run([sys.executable, "-m", "kolossos", *words], check=True)
    told = RunPaths(folder).replicas

    def members() -> list[list[int]]:
        found = [json.loads(line) for line in told.read_text().splitlines()] if told.exists() else []
        return [what["members"] for what in found if "members" in what]

    with cluster(tmp_path / "slurm") as slurm:
        submitted = subprocess.run(["sbatch", str(script)], env=slurm, cwd=tmp_path, capture_output=True, text=True)
        job = submitted.stdout.split()[-1]
        log = tmp_path / f"small-{job}.log"
        wait_for(lambda: len(members()) > 0, log)
        agents = ["pgrep", "-f", f"kolossos.launch.agent.*--replica 1 .*{folder}"]
        for agent in subprocess.run(agents, capture_output=True, text=True).stdout.split():
            if b"srun" not in Path(f"/proc/{agent}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(int(agent), signal.SIGKILL)
        wait_for(lambda: [0] in members(), log)
        wait_for(lambda: members()[-1] == [0, 1], log)
        wait_for(lambda: "JobState=COMPLETED" in asked(slurm, "scontrol", "show", "job", job), log)
    assert "ended with exit code 0" in log.read_text()
    assert [event["step"] for event in read_events(RunPaths(folder).metrics, "train")] == list(range(1, 301))


def resolves(node: str) -> bool:
    return bool(re.search(rf"^127\.0\.0\.1\s.*\b{node}\b", Path("/etc/hosts").read_text(), re.MULTILINE))


def wait_for(what: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, log.read_text() if log.exists() else "no log"
        time.sleep(0.5)
