"""The trace file is what Perfetto reads, and its events are those of the step."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest

from kolossos.plan.answer.trace import write_trace
from kolossos.plan.events.chunk import plain_pass
from kolossos.plan.events.step import StepSchedule, schedule_work
from kolossos.plan.events.units import DP, NOTHING, STREAMS, Unit, weight_pass
from kolossos.plan.events.work import StageWork, Work
from kolossos.plan.schedules.one_forward_one_backward import SCHEDULE


@pytest.fixture
def schedule() -> StepSchedule:
    """pp = 2, M = 3, two layers a stage whose gradients are reduced behind the last backward, and an optimizer."""
    layer = Unit("layer", (weight_pass(0.5), weight_pass(1.0), NOTHING), gather_s=0.1, reduce_s=0.2)
    units = [[layer, layer]]
    passes = [tuple(plain_pass(chunk, direction) for direction in range(3)) for chunk in units]
    stage = StageWork(units, passes, gather_s=0.2, reduce_s=0.4, optimizer_s=0.05)
    flags = {"schedule": SCHEDULE, "streamed": False, "gathers": True, "dp_overlap": True, "hops_block": True}
    costs = {"hop_s": 0.01, "contention": 0.0, "overhead_s": 0.02, "shards_s": 0.0, "jitter": 0.01}
    return schedule_work(Work(stages=[stage, stage], vp=1, n_micro=3, **flags, **costs))


def read(path: Path) -> dict:
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize("name", ["step.json", "step.json.gz"])
def test_trace_parses_and_adds_up_to_the_step(schedule: StepSchedule, tmp_path: Path, name: str) -> None:
    write_trace(schedule, tmp_path / name, title="two stages")
    trace = read(tmp_path / name)
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert len(events) == len(schedule.events())
    assert max(e["ts"] + e["dur"] for e in events) == pytest.approx(schedule.step_s * 1e6, abs=0.01)
    computed = defaultdict(float)
    for event in events:
        if event["cat"] == "compute":
            computed[event["pid"]] += event["dur"] / 1e6
    waited = schedule.stages.bubble + schedule.stages.pp_exposed + schedule.stages.dp_exposed
    for stage, seconds in computed.items():
        assert seconds + waited[stage] == pytest.approx(schedule.step_s, abs=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing is left beside the file"


def test_every_stage_and_stream_has_a_name(schedule: StepSchedule, tmp_path: Path) -> None:
    write_trace(schedule, tmp_path / "step.json")
    rows = read(tmp_path / "step.json")["traceEvents"]
    threads = {(r["pid"], r["tid"]): r["args"]["name"] for r in rows if r["name"] == "thread_name"}
    assert threads == {(stage, tid): stream for stage in range(2) for tid, stream in enumerate(STREAMS)}
    assert {r["pid"] for r in rows if r["name"] == "process_name"} == {0, 1}
    passes = [r for r in rows if r["ph"] == "X" and r["name"] == "forward layer: matmul"]
    assert {r["args"]["micro_batch"] for r in passes} == {0, 1, 2}
    assert {r["name"] for r in rows if r.get("tid") == DP and r["ph"] == "X"} == {
        "gather parameters layer",
        "reduce gradients layer",
    }
