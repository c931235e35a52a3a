"""Small operations and hand-made failures."""

from typing import Any

import numpy as np

from kolossos.simulate.engine.draw import Draws
from kolossos.simulate.engine.play import Played, Prepared, play
from kolossos.simulate.scenario import Scenario, resolve
from kolossos.simulate.spec import OperationSpec

PLAIN: dict[str, Any] = {
    "days": 1.0,
    "replicates": 1,
    "fleet": {"gpus": 80},
    "step": {"time_s": 1.0, "tokens": 1.0},
    "checkpoint": {"interval_s": 90.0, "blocking_s": 10.0, "background_s": 0.0},
    "failures": {"causes": [{"name": "gpu", "kind": "gpu", "per_1000_node_days": 0.0, "detect_s": 5.0}]},
    "recovery": {"restart_s": 20.0, "load_s": 5.0, "spare_nodes": 0},
    "stragglers": {"kinds": []},
}


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``values`` with nested ``changes``."""
    made = dict(values)
    for key, change in changes.items():
        old = made.get(key)
        made[key] = merged(old, change) if isinstance(old, dict) and isinstance(change, dict) else change
    return made


def operation(**changes: Any) -> Scenario:
    """A tiny run with round numbers: a checkpoint each 100 s, 30 s lost to a failure beyond the work."""
    return resolve(OperationSpec.parse(merged(PLAIN, changes), "test"))


def played_with(scenario: Scenario, times: list[float], **columns: Any) -> Played:
    """The run of one replicate in which failures strike at exactly these times."""
    n = len(times)
    values = {name: np.zeros(n) for name in Draws.__dataclass_fields__}
    values |= {"time_s": np.array(times, float)}
    for name in ("replicate", "cause", "node"):
        values[name] = np.zeros(n, np.int64)
    values["person"] = np.ones(n)
    values |= {name: np.array(column) for name, column in columns.items()}
    interval = scenario.spec.checkpoint.interval_s
    assert interval != "auto"
    return play(scenario, Prepared(Draws(**values), [], np.ones(1), range(1)), interval)
