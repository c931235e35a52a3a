"""One pass of one micro-batch through one chunk: its units one after the other, with or without FSDP's traffic.

FSDP (arXiv:2304.11277, sections 3.3 and 4.3): a unit's parameters are gathered while the unit before it computes,
its gradients are reduced while the next one does; a pass begins with nothing gathered and ends with all reduced.
"""

from dataclasses import dataclass

from kolossos.plan.events.units import DP, PARTS, Piece, Unit
from kolossos.plan.schedules.tasks import FORWARD


@dataclass(frozen=True)
class ChunkPass:
    """Seconds from the start of the pass; one entry of the tuples for each unit, in the order in which they run."""

    seconds: float
    units: tuple[Unit, ...]
    direction: int
    starts_s: tuple[float, ...]
    durations_s: tuple[float, ...]
    dp_pieces: tuple[Piece, ...]
    parts: dict[str, float]
    """Of ``seconds``, by what they go to; ``dp_exposed`` is waiting for parameters and gradients."""


def in_order(units: list[Unit], direction: int) -> list[Unit]:
    """The units as the direction meets them."""
    return units if direction == FORWARD else units[::-1]


def plain_pass(units: list[Unit], direction: int) -> ChunkPass:
    """Units back to back."""
    return streamed_pass(units, direction, False, False, True, 0.0)


def streamed_pass(
    units: list[Unit], direction: int, gathers: bool, reduces: bool, overlap: bool, contention: float
) -> ChunkPass:
    """Units that wait for their parameters and hand over their gradients on the dp stream.

    With ``overlap`` the parameters of one unit more are under way; without, every transfer holds the compute stream.
    """
    ordered = in_order(units, direction)
    starts, durations, talk = [], [], []
    now = dp_free = slowed = 0.0
    needed = [_gathered_for(unit, direction) if gathers else 0.0 for unit in ordered] + [0.0]
    gathered = _send(talk, "gather parameters", 0.0, needed[0])
    for i, unit in enumerate(ordered):
        start = max(now, gathered)
        dp_free = max(dp_free, gathered)
        if overlap:
            gathered = dp_free = _send(talk, "gather parameters", max(dp_free, start), needed[i + 1])
        work = unit.passes[direction].seconds
        slower = slowed_by(contention, dp_free - start, work) if overlap else 0.0
        slowed += slower
        starts.append(start)
        durations.append(work + slower)
        now = start + work + slower
        dp_free = _send(talk, "reduce gradients", max(dp_free, now), unit.reduce_s if reduces else 0.0)
        if not overlap:
            now = dp_free = max(dp_free, now)
            gathered = dp_free = _send(talk, "gather parameters", now, needed[i + 1])
    end = max(now, dp_free)
    parts = {name: sum(unit.passes[direction].parts[name] for unit in ordered) for name in PARTS}
    parts["dp_exposed"] = end - sum(durations)
    parts["contention"] += slowed
    return ChunkPass(end, tuple(ordered), direction, tuple(starts), tuple(durations), tuple(talk), parts)


def slowed_by(contention: float, busy: float, work: float) -> float:
    """Seconds by which ``work`` takes longer next to a collective that holds ``contention`` of the multiprocessors for
    another ``busy`` seconds."""
    return contention * min(busy, work / (1.0 - contention)) if busy > 0.0 else 0.0


def _gathered_for(unit: Unit, direction: int) -> float:
    """A look-up needs its table forward, but not to send gradients back."""
    return 0.0 if unit.name == "embedding" and direction != FORWARD else unit.gather_s


def _send(talk: list[Piece], name: str, start: float, seconds: float) -> float:
    if seconds > 0:
        talk.append(Piece(DP, name, start, seconds))
    return start + seconds
