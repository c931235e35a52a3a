"""What `kolossos trace` answers: one rank's step of a run file, on a world of any size."""

import resource
import time
from dataclasses import dataclass
from typing import Any

from kolossos.errors import InputError
from kolossos.model.part import ModelPart
from kolossos.parallel.coordinates import coordinates_of, on_ranks
from kolossos.parallel.pipeline import parts_of_rank
from kolossos.parallel.takes import require_takes
from kolossos.specs.run import RunSpec
from kolossos.trace.rank import Counts, Said
from kolossos.trace.repeated import trace_repeated
from kolossos.trace.world import alone_in
from kolossos.train.layouts import require_trainable_precision


@dataclass(frozen=True)
class TraceAnswer:
    """The counts of ``rank`` and what was traced. seconds, peak_rss_bytes: what the trace itself took."""

    spec: RunSpec
    rank: int
    layers: tuple[int, ...]
    counts: Counts
    seconds: float
    peak_rss_bytes: int

    @property
    def flops(self) -> int:
        """Of the whole step on this rank."""
        return sum(self.counts.flops.values())

    def record(self) -> dict[str, Any]:
        """As --json prints it; bytes and FLOPs of one rank and one step."""
        layout, counts = self.spec.layout, self.counts
        return {
            "model": self.spec.model.name,
            "gpus": layout.world_size,
            "layout": layout.model_dump(),
            "rank": self.rank,
            "coordinates": coordinates_of(layout, self.rank),
            "layers": list(self.layers),
            "micro_batches": layout.accumulation_steps,
            "flops": {"total": self.flops, **dict(sorted(counts.flops.items()))},
            "sent": [
                {"axis": axis, "collective": what, "bytes": counts.sent_bytes[axis, what], "calls": calls}
                for (axis, what), calls in sorted(counts.calls.items())
            ],
            "memory": {
                "weights_bytes": counts.weights_bytes,
                "optimizer_bytes": counts.optimizer_bytes,
                "gradients_bytes": counts.gradient_bytes,
                "peak_bytes": counts.peak_bytes,
            },
            "trace": {"seconds": self.seconds, "peak_rss_bytes": self.peak_rss_bytes},
        }


def trace(spec: RunSpec, rank: int, gpus: int | None, said: Said = lambda _: None) -> TraceAnswer:
    """Trace one step of ``rank``; ``gpus``: of so many ranks, with more replicas of what the layout says.

    Raises:
        InputError: a layout that training does not take, or a rank or number of GPUs that does not go with it.
    """
    begun = time.monotonic()
    layout = spec.layout if gpus is None else on_ranks(spec.layout, gpus)
    spec = spec.model_copy(update={"layout": layout})
    require_takes(layout, spec.model)
    require_trainable_precision(layout.precision)
    if layout.precision == "auto":
        spec = spec.with_precision("bf16")
    if not 0 <= rank < layout.world_size:
        raise InputError(f"rank = {rank}: the layout has ranks 0 to {layout.world_size - 1}")
    with alone_in(layout, rank) as meshes:
        said(f"{layout.world_size:,} ranks met in {time.monotonic() - begun:.1f} s")
        parts = parts_of_rank(spec.model, layout, rank) if meshes else [ModelPart.whole(spec.model)]
        counts = trace_repeated(spec, parts, meshes, said)
    layers = tuple(number for part in parts for number in part.layers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return TraceAnswer(spec, rank, layers, counts, time.monotonic() - begun, peak)
