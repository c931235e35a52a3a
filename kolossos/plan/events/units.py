"""The smallest things that the event schedule moves: a layer, the head or the embedding in one direction.

A unit lies on the streams of a GPU: its products on ``compute``, its collectives on streams of their own, started so
that what ``blocks`` found hidden runs beside the products and what it found exposed holds them up.
"""

from dataclasses import dataclass, fields

from kolossos.plan.closed_form.blocks import Seconds
from kolossos.plan.columns import scalar

COMPUTE, TP, CP, EP, PP, DP = range(6)
STREAMS = ("compute", "tp", "cp", "ep", "pp", "dp")
PARTS = (*(f.name for f in fields(Seconds) if not f.name.endswith("_hidden")), "pp_exposed")


@dataclass(frozen=True)
class Piece:
    """One event inside a unit; seconds from its start."""

    stream: int
    name: str
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class UnitPass:
    """One direction of a unit: how long it holds the compute stream, what lies where, and what the time goes to."""

    seconds: float
    pieces: tuple[Piece, ...]
    parts: dict[str, float]


@dataclass(frozen=True)
class Unit:
    """One bucket of parameters with its work: ``passes`` are forward, backward, weight gradient."""

    name: str
    passes: tuple[UnitPass, UnitPass, UnitPass]
    gather_s: float
    """All-gather of its parameters over the ranks that share them."""
    reduce_s: float
    """Reduction of its gradients (with sharding = none, the whole all-reduce)."""


NOTHING = UnitPass(0.0, (), dict.fromkeys(PARTS, 0.0))


def unit_pass(seconds: Seconds, without_products_s: float = 0.0) -> UnitPass:
    """Lay ``seconds`` on streams, less ``without_products_s`` of products that run elsewhere (weight gradients)."""
    parts = {**NOTHING.parts, **{name: scalar(getattr(seconds, name)) for name in PARTS if hasattr(seconds, name)}}
    parts["matmul"] = max(parts["matmul"] - without_products_s, 0.0)
    pieces: list[Piece] = []
    now = 0.0
    for name in ("elementwise", "quantize", "overhead"):
        now = _compute(pieces, name, now, parts[name])
    attention = parts["attention"]
    now = _beside(pieces, now, "attention", attention, CP, scalar(seconds.cp_hidden), parts["cp_exposed"])
    matmul = parts["matmul"] + parts["contention"]
    now = _beside(pieces, now, "matmul", matmul, TP, scalar(seconds.tp_hidden), parts["tp_exposed"])
    now += parts["ep_exposed"]
    talk = min(scalar(seconds.ep_hidden) + parts["ep_exposed"], now)
    if talk > 0:
        pieces.append(Piece(EP, STREAMS[EP], now - talk, talk))
    return UnitPass(now, tuple(pieces), parts)


def weight_pass(seconds: float) -> UnitPass:
    """Weight gradients alone: nothing but products."""
    return UnitPass(seconds, (Piece(COMPUTE, "matmul", 0.0, seconds),), {**NOTHING.parts, "matmul": seconds})


def waiting_pass(name: str, part: str, seconds: float) -> UnitPass:
    """``seconds`` in which the compute stream is held by something else."""
    return UnitPass(
        seconds, (Piece(COMPUTE, name, 0.0, seconds),) if seconds > 0 else (), {**NOTHING.parts, part: seconds}
    )


def _compute(pieces: list[Piece], name: str, start: float, seconds: float) -> float:
    if seconds > 0:
        pieces.append(Piece(COMPUTE, name, start, seconds))
    return start + seconds


def _beside(
    pieces: list[Piece], start: float, name: str, work: float, stream: int, hidden: float, exposed: float
) -> float:
    """``work`` with a collective beside it, of which the last ``exposed`` seconds hold it up; when it ends."""
    hidden = min(hidden, work)
    if hidden + exposed > 0:
        pieces.append(Piece(stream, STREAMS[stream], start, hidden + exposed))
    if exposed <= 0:
        return _compute(pieces, name, start, work)
    _compute(pieces, name, start, hidden)
    return _compute(pieces, name, start + hidden + exposed, work - hidden)
