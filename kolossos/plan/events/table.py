"""A played step as a table of events: one row for everything that held a stream of a stage."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kolossos.plan.events.chunk import ChunkPass
from kolossos.plan.events.play import Played, PlayedPass, Transfer
from kolossos.plan.events.units import COMPUTE, DP, PP, STREAMS, Piece
from kolossos.plan.events.work import Work
from kolossos.plan.schedules.tasks import DIRECTIONS


class Event(NamedTuple):
    """Something that held a stream. Seconds from the start of the step; -1 where no one micro-batch is meant."""

    stage: int
    micro_batch: int
    chunk: int
    stream: str
    name: str
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class EventTable:
    """Events as columns, by stage, stream and start; ``stream`` and ``name`` index STREAMS and ``names``."""

    stage: NDArray[np.int32]
    micro_batch: NDArray[np.int32]
    chunk: NDArray[np.int32]
    stream: NDArray[np.int8]
    name: NDArray[np.int32]
    start_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start_s)

    def __iter__(self) -> Iterator[Event]:
        columns = (self.stage, self.micro_batch, self.chunk, self.stream, self.name, self.start_s, self.duration_s)
        for stage, micro, chunk, stream, name, start, duration in zip(*(c.tolist() for c in columns), strict=True):
            yield Event(stage, micro, chunk, STREAMS[stream], self.names[name], start, duration)


class _Rows:
    """Collects blocks of rows."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.blocks: list[tuple[NDArray, ...]] = []

    def add(self, stage: int, micro_batch, chunk: int, stream: int, name: str, start_s, duration_s) -> None:
        code = self.names.setdefault(name, len(self.names))
        block = np.broadcast_arrays(stage, micro_batch, chunk, stream, code, start_s, duration_s)
        self.blocks.append(tuple(column.reshape(-1) for column in block))

    def table(self) -> EventTable:
        stage, micro_batch, chunk, stream, name, start, duration = map(np.concatenate, zip(*self.blocks, strict=True))
        order = np.lexsort((start, stream, stage))
        return EventTable(
            stage=stage[order].astype(np.int32),
            micro_batch=micro_batch[order].astype(np.int32),
            chunk=chunk[order].astype(np.int32),
            stream=stream[order].astype(np.int8),
            name=name[order].astype(np.int32),
            start_s=start[order],
            duration_s=duration[order],
            names=tuple(self.names),
        )


def event_table(work: Work, played: Played, closing: list[Transfer]) -> EventTable:
    """Lay out every pass by its units and pieces, and add what is sent, reduced and done once a step."""
    rows = _Rows()
    usual: dict[tuple[int, int, int], list[PlayedPass]] = defaultdict(list)
    for one in played.passes:
        chunk_pass = work.stages[one.stage].passes[one.task.chunk][one.task.direction]
        if one.unit_starts_s is None or one.unit_durations_s is None:
            usual[one.stage, one.task.chunk, one.task.direction].append(one)
        else:
            _add_passes(rows, [one], chunk_pass, one.unit_starts_s, one.unit_durations_s)
    for (stage, chunk, direction), passes in usual.items():
        chunk_pass = work.stages[stage].passes[chunk][direction]
        _add_passes(rows, passes, chunk_pass, chunk_pass.starts_s, chunk_pass.durations_s)
    for transfers, stream in ((played.hops, PP), (played.collectives, DP)):
        _add_transfers(rows, transfers, stream)
    for done in closing:
        stream = COMPUTE if done.name in ("optimizer", "jitter") else DP
        rows.add(done.stage, -1, -1, stream, done.name, done.start_s, done.duration_s)
    if work.overhead_s > 0:
        for stage in range(len(work.stages)):
            rows.add(stage, -1, -1, COMPUTE, "step overhead", 0.0, work.overhead_s)
    return rows.table()


def _add_passes(
    rows: _Rows,
    passes: list[PlayedPass],
    usual: ChunkPass,
    starts_s: tuple[float, ...],
    durations_s: tuple[float, ...],
) -> None:
    """Passes that look alike; one that contention slowed is stretched as a whole."""
    stage, chunk = passes[0].stage, passes[0].task.chunk
    micro_batches = np.array([one.task.micro_batch for one in passes])
    begin = np.array([one.start_s for one in passes])
    stretch = np.ones(len(passes))
    if passes[0].unit_starts_s is None and usual.seconds > 0:
        stretch = np.array([one.duration_s for one in passes]) / usual.seconds
    for unit, start, duration in zip(usual.units, starts_s, durations_s, strict=True):
        work = unit.passes[usual.direction]
        longer = duration / work.seconds if work.seconds > 0 else 1.0
        for piece in work.pieces:
            name = f"{DIRECTIONS[usual.direction]} {unit.name}: {piece.name}" if unit.name else piece.name
            at = begin + (start + piece.start_s * longer) * stretch
            rows.add(stage, micro_batches, chunk, piece.stream, name, at, piece.duration_s * longer * stretch)
    for piece in usual.dp_pieces:
        _add_dp(rows, stage, micro_batches, chunk, begin, stretch, piece)


def _add_dp(rows: _Rows, stage: int, micro_batches, chunk: int, begin, stretch, piece: Piece) -> None:
    at = begin + piece.start_s * stretch
    rows.add(stage, micro_batches, chunk, DP, piece.name, at, piece.duration_s * stretch)


def _add_transfers(rows: _Rows, transfers: list[Transfer], stream: int) -> None:
    groups: dict[tuple[int, int, str], list[Transfer]] = defaultdict(list)
    for one in transfers:
        name = one.name if one.to_stage < 0 else f"{one.name} to stage {one.to_stage}"
        if one.duration_s > 0:
            groups[one.stage, one.task.chunk, name].append(one)
    for (stage, chunk, name), sent in groups.items():
        micro_batches = np.array([one.task.micro_batch for one in sent])
        start, duration = np.array([one.start_s for one in sent]), np.array([one.duration_s for one in sent])
        rows.add(stage, micro_batches, chunk, stream, name, start, duration)
