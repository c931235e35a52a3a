"""What the planner counts is what the program does: FLOPs to the last one, bytes on each axis, states.

Traced and counted have nothing in common: one runs the training step's own operators on tensors without numbers, the
other multiplies widths.
"""

from collections import Counter
from typing import Any

import pytest

from kolossos.plan.closed_form.counts import counts_of_rank
from kolossos.plan.closed_form.stage_memory import memory_by_stage
from kolossos.plan.job import Job
from kolossos.specs.catalogue import load_cluster, load_model
from kolossos.specs.layout import Layout
from kolossos.specs.run import DataSpec, RunSpec, ScheduleSpec
from kolossos.trace.answer import trace

SMALL = 0.01  # norms, gates and sums of losses are sent, too, and not counted
PAIRS: list[tuple[str, int, dict[str, Any]]] = [
    ("grok-nano", 0, {"micro_batch_size": 2, "global_batch_size": 4}),
    ("tiny-dense", 1, {"dp_shard": 4, "micro_batch_size": 1, "global_batch_size": 8}),
    ("grok-nano", 3, {"tp": 2, "dp_shard": 2, "global_batch_size": 4, "sharding": "optimizer"}),
    ("tiny-dense", 0, {"pp": 2, "tp": 2, "global_batch_size": 4, "sharding": "gradients"}),
    ("grok-nano", 5, {"ep": 4, "dp_shard": 4, "dp_replicate": 2, "global_batch_size": 16, "sharding": "optimizer"}),
    ("grok-nano", 2, {"cp": 2, "dp_shard": 2, "global_batch_size": 4, "recompute": "full"}),
    ("grok-nano", 7, {"pp": 2, "tp": 2, "ep": 2, "etp": 2, "dp_shard": 2, "global_batch_size": 8}),
    ("grok-mini", 0, {"pp": 4, "vp": 2, "ep": 8, "dp_shard": 8, "global_batch_size": 32, "recompute": "selective"}),
]
QUICK = (1, 4, 6)

GROK_1 = {"pp": 22, "vp": 3, "cp": 8, "ep": 8, "dp_shard": 384, "global_batch_size": 8448, "sharding": "optimizer"}
"""As `kolossos plan grok-1 --cluster colossus-100k --software kolossos --precision bf16` lays it out."""


def run_of(model: str, layout: dict[str, Any], seq_len: int) -> RunSpec:
    return RunSpec(
        name="traced",
        model=load_model(model),
        data=DataSpec(path="none"),
        layout=Layout(**{"micro_batch_size": 1, **layout}, seq_len=seq_len, precision="bf16"),
        schedule=ScheduleSpec(steps=1),
    )


def assert_counted(spec: RunSpec, rank: int) -> tuple[float, float]:
    """Peak of memory in bytes, traced and planned (without the runtime)."""
    layout = spec.layout
    traced = trace(spec, rank, None).counts
    job = Job.of(spec.model, load_cluster("colossus-100k"), software="kolossos", n_gpus=layout.world_size)
    setting = job.with_layout(layout).setting_of([layout])
    stage = rank * layout.pp // layout.world_size
    counted = counts_of_rank(spec.model, setting, stage)
    for kind, flops in counted.flops.items():
        assert traced.flops[kind] == pytest.approx(flops, rel=1e-12), kind
    sent: Counter[str] = Counter()
    for (axis, _), size in traced.sent_bytes.items():
        sent[axis] += size
    for axis, size in counted.sent_bytes.items():
        assert sent[axis] == pytest.approx(size, rel=SMALL), axis
    beside = sum(size for axis, size in sent.items() if axis not in counted.sent_bytes)
    assert beside <= 1e-3 * max(sum(sent.values()), 1)
    for name in ("weights_bytes", "optimizer_bytes"):
        assert getattr(traced, name) == pytest.approx(getattr(counted, name), rel=2e-3), name
    memory = memory_by_stage(setting)[stage]
    return traced.peak_bytes, memory.total - float(setting.software.runtime_bytes)


@pytest.mark.parametrize("number", QUICK)
def test_counts_of_a_rank(number: int) -> None:
    model, rank, layout = PAIRS[number]
    assert_counted(run_of(model, layout, 1024), rank)


@pytest.mark.slow
@pytest.mark.parametrize("number", [number for number in range(len(PAIRS)) if number not in QUICK])
def test_counts_of_other_ranks(number: int) -> None:
    model, rank, layout = PAIRS[number]
    assert_counted(run_of(model, layout, 1024), rank)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 33792, 67583], ids=["first", "middle", "last"])
def test_grok_1_on_a_hundred_thousand(rank: int) -> None:
    peak, planned = assert_counted(run_of("grok-1", GROK_1, 8192), rank)
    assert peak == pytest.approx(planned, rel=0.12)
