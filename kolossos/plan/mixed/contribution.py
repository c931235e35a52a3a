"""What one kind of GPU does in a mixed plan."""

from dataclasses import dataclass, field

from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class Contribution:
    """What one kind of GPU does in a mixed plan."""

    gpu: str
    n_gpus: int
    n_idle: int
    layout: Layout
    share_of_tokens: float
    step_time_s: float
    """Of this kind by itself; the step waits for the slowest."""
    busy_share: float
    memory_bytes: float
    memory_of: float
    layers: tuple[int, ...] = ()
    """Layers of each of its stages, where stages differ."""
    parts: dict[str, float] = field(default_factory=dict)
    """Seconds of its own step by part, where they are known."""


Split = tuple[float, float, list[Contribution]]
"""Seconds and tokens of a step, and what each kind does."""
