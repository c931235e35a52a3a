"""A recovery policy is one file: a test adds one that nobody knew, and every command takes it."""

import json
from pathlib import Path
from typing import Any

import pytest
from overlay import overlay, run

HOT_SPARE = '''
"""A hot spare takes over in 45 s, with the newest copy in peers' memory."""

from kolossos.simulate.policy import Array, Policy, peer_copies
from kolossos.simulate.spec import RecoverySpec


def restart_s(recovery: RecoverySpec, cold_s: Array) -> float:
    """The spare joins, whatever the size of the job."""
    return 45.0


POLICY = Policy(
    place=6, near=("job", "gpu", "node"), copies=peer_copies, restart_s=restart_s, search={"peer_load_s": (10, 20)}
)
'''
MODEL = ("grok-1", "--cluster", "colossus-100k", "--step-time", "5", "--days", "6")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with one file more."""
    made = overlay(tmp_path_factory.mktemp("policy"))
    (made / "kolossos/simulate/policies/hot_spare.py").write_text(HOT_SPARE)
    return made


def printed(root: Path, *arguments: str) -> dict[str, Any]:
    done = run(root, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_simulate_plays_it_and_compares_it_with_the_others(root: Path) -> None:
    figures = printed(root, "simulate", *MODEL, "--replicates", "4", "--policy", "hot-spare")
    assert figures["inputs"]["recovery"]["policy"] == "hot-spare"
    goodput = {name: row["goodput"]["mean"] for name, row in figures["policies"].items()}
    assert list(goodput) == ["store", "peer-memory", "in-process", "shrink-and-heal", "warm-standby", "hot-spare"]
    assert goodput["peer-memory"] < goodput["hot-spare"] < goodput["in-process"]  # 45 s against 30 + 10


def test_optimise_searches_with_it_what_it_lets_vary(root: Path) -> None:
    found = printed(root, "optimise", *MODEL, "--replicates", "2", "--policy", "hot-spare")
    assert found["best"]["policy"] == "hot-spare"
    assert {row["peer_load_s"] for row in found["tried"]} == {10, 20}
    store, in_process = (
        printed(root, "optimise", *MODEL, "--replicates", "2", "--policy", policy) for policy in ("store", "in-process")
    )
    goodput = [row["best"]["goodput"]["mean"] for row in (store, found, in_process)]
    assert goodput == sorted(goodput)


def test_tables_plots_and_help_take_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    done = run(root, "simulate", *MODEL, "--replicates", "2", "--policy", "hot-spare", "--plots", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "hot-spare" in done.stdout
    assert (tmp_path / "policy.png").is_file()
    assert "hot-spare" in run(root, "simulate", "--help").stdout


@pytest.mark.parametrize("command", ["simulate", "optimise"])
def test_an_unknown_one_is_refused_with_the_nearest_name(root: Path, command: str) -> None:
    done = run(root, command, *MODEL, "--policy", "hot-sparee")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.strip() == ("error: recovery.policy: unknown policy 'hot-sparee'; did you mean 'hot-spare'?")
