"""A scenario is resolved once: names are looked up at the start, and refused there with the nearest one."""

from pathlib import Path
from typing import Any

import pytest
from small_operations import operation

from kolossos.errors import InputError
from kolossos.simulate import failures
from kolossos.simulate.policies import policies_in_order, policy_names
from kolossos.simulate.search.objectives import TOKENS_PER_DAY
from kolossos.simulate.search.optimise import optimise, policies
from kolossos.specs import catalogue, strict


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the TOML files that are read, in their order."""
    names: list[str] = []

    def read_toml(path: Path) -> dict[str, Any]:
        names.append(path.name)
        return strict.read_toml(path)

    for module in (failures, catalogue):
        monkeypatch.setattr(module, "read_toml", read_toml)
    return names


def test_a_search_reads_the_failure_table_and_each_kind_of_gpu_once(read: list[str]) -> None:
    lots = [{"gpus": 80, "gpu": "h200", "day": 1.0}, {"gpus": 80, "gpu": "h200", "day": 2.0}]
    scenario = operation(days=4.0, replicates=2, fleet={"growth": lots}, failures={"causes": None})
    assert len(optimise(scenario, TOKENS_PER_DAY).tried) > 30
    assert set(policies(scenario, 300.0, runs=1)) == set(policy_names())
    assert sorted(read) == ["h100.toml", "h200.toml", "llama3-2024.toml"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"failures": {"causes": None, "table": "rsc1"}}, "unknown failure table 'rsc1'; did you mean"),
        ({"fleet": {"gpu": "h10"}}, "unknown gpu 'h10'"),
        ({"recovery": {"policy": "peer-memry"}}, "unknown policy 'peer-memry'; did you mean 'peer-memory'?"),
        ({"recovery": {"policy": "hope"}}, "known: in-process, peer-memory, shrink-and-heal, store"),
        ({"recovery": {"policy": "__init__"}}, "unknown policy '__init__'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        operation(**changes)


def test_other_spares_or_another_policy_leave_the_failures_and_the_rest_alone() -> None:
    scenario = operation(fleet={"gpus": 800}, failures={"causes": None})
    other = scenario.with_recovery(spare_nodes=10, policy="shrink-and-heal")
    assert other.causes is scenario.causes
    assert other.lots is scenario.lots
    assert (other.phases[0].job_nodes, other.phases[0].spare_nodes) == (90, 10)
    assert other.policy.replicas_alone
    assert not scenario.policy.replicas_alone


def test_policies_are_the_files_of_their_folder_the_plainest_first() -> None:
    assert list(policies_in_order()) == ["store", "peer-memory", "in-process", "shrink-and-heal", "warm-standby"]


def test_a_run_without_any_cause_of_failure_is_one_segment() -> None:
    found = optimise(operation(failures={"causes": []}), TOKENS_PER_DAY)
    assert found.best.outcome.interruptions.sum() == 0
