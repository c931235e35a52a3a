"""One rank of a world that is not there: torch's fake process group, whose collectives return at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from kolossos.parallel.mesh import Meshes, build_mesh
from kolossos.specs.layout import Layout


@contextmanager
def alone_in(layout: Layout, rank: int) -> Iterator[Meshes | None]:
    """Be ``rank`` of ``layout``, on the CPU; its meshes, or None for a layout of one rank.

    Raises:
        RuntimeError: this process is in a process group already.
    """
    if dist.is_initialized():
        raise RuntimeError("a trace needs a process without a process group")
    if layout.world_size == 1:
        yield None
        return
    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=layout.world_size)
    try:
        yield build_mesh(layout, "cpu")
    finally:
        dist.destroy_process_group()


@contextmanager
def without_a_vote() -> Iterator[None]:
    """Stages of torch's pipelines vote, with numbers, on whether the shapes of what they pass are known. They are."""
    from torch.distributed.pipelining import schedules, stage

    vote = getattr(schedules._PipelineSchedule, "_warmup_p2p", None)
    if vote is None:  # of torch before 2.13
        yield
        return

    def agreed(_: Any, stages: list[Any], *__: Any) -> None:
        for one in stages:
            one._inference_mode = stage.InferenceMode.STATIC

    schedules._PipelineSchedule._warmup_p2p = agreed  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        schedules._PipelineSchedule._warmup_p2p = vote
