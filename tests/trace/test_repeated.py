"""Equal layers and micro-batches, traced a few times and counted, make the counts of the whole."""

from typing import Any

import pytest

from kolossos.model.part import ModelPart
from kolossos.parallel.pipeline import parts_of_rank
from kolossos.specs.catalogue import load_model
from kolossos.specs.layout import Layout
from kolossos.specs.run import DataSpec, OptimizerSpec, RunSpec, ScheduleSpec
from kolossos.trace.rank import Counts, trace_rank
from kolossos.trace.repeated import trace_repeated
from kolossos.trace.world import alone_in

CASES: list[tuple[int, dict[str, Any]]] = [
    (0, {"micro_batch_size": 1, "global_batch_size": 6, "recompute": "full"}),
    (5, {"dp_shard": 4, "dp_replicate": 2, "micro_batch_size": 1, "global_batch_size": 48}),
    (3, {"tp": 2, "dp_shard": 2, "sharding": "optimizer", "micro_batch_size": 1, "global_batch_size": 12}),
    (9, {"pp": 3, "dp_shard": 4, "micro_batch_size": 1, "global_batch_size": 36, "sharding": "gradients"}),
    (0, {"pp": 2, "vp": 2, "ep": 2, "dp_shard": 2, "micro_batch_size": 1, "global_batch_size": 40}),
]


def run_of(layout: dict[str, Any], n_layers: int, windows: tuple[int, ...] = ()) -> RunSpec:
    model = load_model("grok-nano").model_copy(update={"n_layers": n_layers, "attn_windows": windows})
    return RunSpec(
        name="traced",
        model=model,
        data=DataSpec(path="none"),
        layout=Layout(**layout, seq_len=64, precision="bf16"),
        optimizer=OptimizerSpec(),
        schedule=ScheduleSpec(steps=10),
    )


def both(spec: RunSpec, rank: int) -> tuple[Counts, Counts]:
    with alone_in(spec.layout, rank) as meshes:
        parts = parts_of_rank(spec.model, spec.layout, rank) if meshes else [ModelPart.whole(spec.model)]
        whole = trace_rank(spec, parts, spec.layout.accumulation_steps, meshes)
        return whole, trace_repeated(spec, parts, meshes, lambda _: None)


@pytest.mark.parametrize(
    ("rank", "layout"),
    [(0, CASES[0][1] | {"global_batch_size": 4}), (5, CASES[1][1] | {"global_batch_size": 24, "dp_replicate": 1})],
)
def test_few_layers_and_passes_give_the_counts_of_all(rank: int, layout: dict[str, Any]) -> None:
    whole, counted = both(run_of(layout, 6), rank % 4)
    assert counted == whole
    assert whole.flops["experts"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "layout"), CASES)
def test_of_deep_models_and_pipelines_too(rank: int, layout: dict[str, Any]) -> None:
    whole, counted = both(run_of(layout, 18), rank)
    assert counted == whole


@pytest.mark.slow
def test_layers_of_two_kinds() -> None:
    windows = tuple(16 if number % 2 else 0 for number in range(14))
    whole, counted = both(run_of(CASES[0][1] | {"recompute": "none"}, 14, windows), 0)
    assert counted == whole
    assert whole.flops["attention"] > 0
