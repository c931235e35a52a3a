"""What a plan promises about one training step: the few figures that the simulation of a whole run needs."""

from dataclasses import dataclass

from kolossos.specs.layout import Layout


@dataclass(frozen=True)
class StepPromise:
    """One step of one model in one layout on one kind of GPU (or one mix).

    Seconds, bytes, FLOPs, watts. ``low`` and ``high`` bound the step time with 90 % confidence.
    """

    n_gpus: int
    layout: Layout
    step_time_s: float
    step_time_low_s: float
    step_time_high_s: float
    tokens_per_step: float
    model_flops_per_step: float
    mfu: float
    checkpoint_bytes: float
    """Weights and optimizer state, once."""
    busy_share: float
    """Share of the step in which a GPU computes; the rest it waits (exposed communication, bubble)."""
