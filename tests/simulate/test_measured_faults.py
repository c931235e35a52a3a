"""Faults as they were measured: a chaos run as a failure table, times of a cause's own, faults of a job, people."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kolossos.errors import InputError
from kolossos.simulate.engine.play import Outcome
from kolossos.simulate.engine.play import simulate as play
from kolossos.simulate.failures import load_table
from kolossos.simulate.scenario import resolve
from kolossos.simulate.spec import OperationSpec

KILL = {"name": "kill", "kind": "software", "per_1000_node_days": 1.0, "scope": "node", "detect_s": 1.0,
        "go_on_s": 4.0, "rejoin_s": 9.0}  # fmt: skip


def played(interval_s: float = 1e4, **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "days": 0.2,
        "replicates": 20,
        "fleet": {"gpus": 8, "gpus_per_node": 2},
        "step": {"time_s": 0.01},
        "failures": {"causes": [KILL], "job_mtbf_s": 100.0, "spacing": "even"},
        "checkpoint": {"bytes": 1e6, "blocking_s": 0.0, "background_s": 0.0},
        "recovery": {"policy": "shrink-and-heal", "replicas": 4},
        "stragglers": {"kinds": []},
    }
    return play(resolve(OperationSpec.parse(values | changes, "test")), interval_s)


@pytest.mark.parametrize(("batch", "slow_share"), [("kept", 0.5), ("shrinks", 0.25)])
def test_a_fault_costs_what_was_measured_of_it(batch: str, slow_share: float) -> None:
    outcome = played(recovery={"policy": "shrink-and-heal", "replicas": 4, "batch": batch})
    # each 100 s: 1 + 4 s of nothing, then until 1 + 9 s after the fault one of four replicas is out
    assert outcome.effective_share.mean() == pytest.approx(1 - 5 / 100, abs=2e-3)
    assert outcome.goodput.mean() == pytest.approx(1 - (5 + 5 * slow_share) / 100, abs=2e-3)


def test_even_faults_lie_at_equal_distances() -> None:
    outcome = played()
    assert np.all(np.abs(outcome.interruptions - 0.2 * 86_400 / 100) <= 1)
    assert played(failures={"causes": [KILL], "job_mtbf_s": 100.0}).interruptions.std() > 5


def test_faults_of_the_job_do_not_grow_with_its_nodes() -> None:
    cause = KILL | {"per_1000_node_days": 0.0, "per_day": 40.0, "scope": "job"}
    counts = [
        played(days=5.0, fleet={"gpus": gpus}, failures={"causes": [cause]}).interruptions.mean()
        for gpus in (80, 8_000)
    ]
    assert counts == pytest.approx([200.0, 200.0], rel=0.06)
    both = [KILL | {"per_1000_node_days": 1000.0}, cause]
    assert resolve(OperationSpec.parse({"fleet": {"gpus": 80}, "failures": {"causes": both}}, "test")).mtbf_s == (
        pytest.approx(86_400 / 50)
    )


def test_what_chaos_measured_is_a_table(tmp_path: Path) -> None:
    def fault(kind: str, noticed: float | None, went_on: float, back: float, replica: int) -> dict[str, Any]:
        times = {"noticed_s": noticed, "went_on_s": went_on, "back_s": back}
        return {"kind": kind, "replicas": [replica], "at_step": 99, **times}

    faults = [fault("a rank killed", 0.2, 2.0, 6.0, 0), fault("a rank killed", 0.4, 3.0, 8.0, 1)]
    faults.append(fault("all replicas killed", None, 5.0, 5.0, 0))
    kinds = [{"kind": "a rank killed", "faults": 2}, {"kind": "all replicas killed", "faults": 1}]
    path = tmp_path / "chaos.json"
    path.write_text(json.dumps({"by_kind": kinds, "faults": faults, "wall_s": {"unbroken": 50.0, "broken": 864.0}}))
    killed, everything = load_table(str(path)).causes
    assert (killed.scope, everything.scope) == ("node", "fabric")
    assert killed.per_1000_node_days * 2 / 1000 * 0.01 == pytest.approx(2)  # two replicas, a hundredth of a day
    assert everything.per_day * 0.01 == pytest.approx(1)
    step_s = 50.0 / 100
    assert killed.detect_s == pytest.approx(0.3)
    assert killed.go_on_s == pytest.approx(2.5 - 0.3 - step_s)
    assert killed.rejoin_s == pytest.approx(7.0 - 0.3 - step_s)
    assert everything.go_on_s == pytest.approx(5.0 - step_s)
    failures = {"table": str(path), "only": ["a rank killed"], "job_mtbf_s": 100.0}
    assert played(failures=failures).by_cause.shape[1] == 1
    with pytest.raises(InputError, match="no cause 'a rank kiled'; did you mean 'a rank killed'"):
        played(failures=failures | {"only": ["a rank kiled"]})
    path.write_text("{}")
    with pytest.raises(InputError, match="not the JSON of a chaos run"):
        load_table(str(path))


def test_people_start_small_jobs_again_and_their_share_can_be_set() -> None:
    def share(gpus: int, **recovery: Any) -> float:
        changes = {"days": 30.0, "fleet": {"gpus": gpus}, "failures": {}, "step": {"time_s": 10.0}}
        return float(played(600.0, **changes, recovery=recovery).effective_share.mean())

    assert share(1_024) < share(1_024, by_hand_share=0.0) - 0.005
    assert share(16_384) == share(16_384, by_hand_share=0.0)
    assert share(1_024, by_hand_share=1.0) < share(1_024)


def test_defaults_say_what_runs_of_a_thousand_gpus_report() -> None:
    figures = {}
    for gpus, gpu, days in ((1_600, "h200", 120.0), (1_024, "h100", 56.0)):
        changes = {"days": days, "fleet": {"gpus": gpus, "gpu": gpu}, "failures": {}, "step": {"time_s": 10.0}}
        outcome = played(1800.0, **changes, recovery={})
        assert 0.90 <= outcome.effective_share.mean() <= 0.975
        figures[gpu] = outcome.interruptions.mean()
    assert figures["h200"] == pytest.approx(205, rel=0.15)  # four months on 1,600 H200
    assert figures["h100"] == pytest.approx(90, rel=0.15)  # OPT-175B's log: about 90 in 56 days


def test_warm_standby_loses_a_step_and_a_tenth_of_a_start() -> None:
    changes: dict[str, Any] = {"days": 10.0, "fleet": {"gpus": 16_384}, "step": {"time_s": 10.0}}
    cause = KILL | {"go_on_s": None, "rejoin_s": None, "detect_s": 0.0}
    changes["failures"] = {"causes": [cause], "job_mtbf_s": 3_600.0, "spacing": "even"}
    warm = played(1800.0, **changes, recovery={"policy": "warm-standby", "restart_s": 1_087.0})
    expected = (1 - (5.0 + 100.0 + 10.0) / 3_600) * 10.0 / 10.03  # half a step, a tenth of a start, the load; copies
    assert warm.effective_share.mean() == pytest.approx(expected, abs=2e-3)
