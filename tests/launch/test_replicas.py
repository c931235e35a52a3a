"""A run whose replicas leave and come back, in processes: the same bits as without any fault, nothing lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kolossos.runs.events import read_events
from kolossos.runs.paths import RunPaths

COMMAND = [sys.executable, "-m", "kolossos"]
REPLICAS = ["layout.dp_replicate=2", "layout.micro_batch_size=1", "survival.replicas=true"]


def kolossos(*arguments: str, sets: list[str] = []) -> subprocess.CompletedProcess[str]:  # noqa: B006
    given = [part for value in sets for part in ("--set", value)]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run([*COMMAND, *arguments, *given], capture_output=True, text=True, timeout=400, env=environment)


def losses(folder: Path) -> list[float]:
    return [event["loss"] for event in read_events(RunPaths(folder).metrics, "train")]


def test_faults_change_no_bit_and_the_numbers_are_those_of_one_process(run_file: Path, tmp_path: Path) -> None:
    sets = [*REPLICAS, "schedule.steps=40", "survival.silent_seconds=3"]
    folder = tmp_path / "chaos"
    faults = ("--faults", "3", "--every", "0.3", "--seed", "3", "--kinds", "a rank killed,a rank hangs,damaged")
    done = kolossos("chaos", str(run_file), "--run", str(folder), *faults, "--json", sets=sets)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["equal"]
    assert outcome["comparison"]["events"] >= 40
    assert len(outcome["faults"]) == 3
    assert all(fault["went_on_s"] is not None for fault in outcome["faults"])
    alone = kolossos("train", str(run_file), "--run", str(tmp_path / "alone"), sets=["schedule.steps=40"])
    assert alone.returncode == 0, alone.stderr
    assert losses(folder / "broken") == pytest.approx(losses(tmp_path / "alone"), rel=1e-5)
    told = [json.loads(line) for line in RunPaths(folder / "broken").replicas.read_text().splitlines()]
    assert any("lost" in what for what in told)


@pytest.mark.slow
def test_a_flipped_bit_of_a_gradient_is_found_by_a_replay_and_harms_nothing(run_file: Path, tmp_path: Path) -> None:
    sets = ["survival.replicas=true", "layout.dp_replicate=4", "layout.micro_batch_size=1", "schedule.steps=150"]
    faults = ("--faults", "2", "--every", "0.2", "--seed", "2", "--kinds", "flipped")
    given = ("chaos", str(run_file), "--run", str(tmp_path / "chaos"), *faults, "--json")
    done = kolossos(*given, sets=[*sets, "compute.replay_every=1"])
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["equal"]
    assert [fault["noticed_s"] is not None for fault in outcome["faults"]] == [True, True]
    assert done.stderr.count("not kept: silent corruption: rank ") == 2


def test_without_replicas_that_come_and_go_there_is_nothing_to_try(run_file: Path, tmp_path: Path) -> None:
    done = kolossos("chaos", str(run_file), "--run", str(tmp_path / "chaos"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "survival.replicas is false" in done.stderr
    assert not (tmp_path / "chaos").exists()


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["survival.replicas=true"], "layout.dp_replicate = 1: there must be 2"),
        ([*REPLICAS, "layout.pp=2"], "does not go with layout.pp = 2 yet"),
    ],
)
def test_layouts_that_cannot_survive_are_refused(run_file: Path, tmp_path: Path, sets: list[str], said: str) -> None:
    done = kolossos("launch", str(run_file), "--on", "local", "--run", str(tmp_path / "run"), sets=sets)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_replica_with_another_bit_leaves_and_comes_back_with_the_right_ones(run_file: Path, tmp_path: Path) -> None:
    from flipping import run_rank_flipping

    from kolossos.launch.supervise import Log, Replicas

    folder = tmp_path / "run"
    sets = ["schedule.steps=10", "layout.dp_replicate=3", "layout.micro_batch_size=1", "layout.global_batch_size=6"]
    sets += ["survival.replicas=true", "compute.compare_replicas_every=5"]
    command = ["train", str(run_file), "--folder", str(folder), *(part for value in sets for part in ("--set", value))]
    code = Replicas(command, 3, 1, log=Log(folder, 3, print), target=run_rank_flipping).run()
    assert code == 0
    told = [json.loads(line) for line in RunPaths(folder).replicas.read_text().splitlines()]
    lost = [what["why"] for what in told if "lost" in what]
    assert lost == ["replica 1: a rank held other bits than those of the other replicas"]
    sets = ["schedule.steps=10", "layout.micro_batch_size=3", "layout.global_batch_size=6"]
    alone = kolossos("train", str(run_file), "--run", str(tmp_path / "alone"), sets=sets)
    assert alone.returncode == 0, alone.stderr
    assert losses(folder) == pytest.approx(losses(tmp_path / "alone"), rel=1e-5)
