"""What a plan said about the steps of a run, before the run: the table ``[promise]`` of a run file."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from kolossos.specs.layout import Layout
from kolossos.specs.strict import Spec


class PromiseSpec(Spec):
    """One step on the planned hardware, in seconds and bytes. It is no part of what a run computes.

    The step time lies between ``step_time_low_s`` and ``step_time_high_s`` with 90 % confidence. ``parts_s`` are the
    terms that it is made of, by the plan's own names, ``memory_bytes`` those of the memory of the fullest GPU.
    ``layout`` is the planned one, ``software`` the generation of programs that the plan's efficiencies belong to.
    """

    cluster: str = Field(min_length=1)
    gpu: str = Field(min_length=1)
    n_gpus: PositiveInt
    layout: Layout
    software: str
    step_time_s: PositiveFloat
    step_time_low_s: PositiveFloat
    step_time_high_s: PositiveFloat
    parts_s: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    memory_bytes: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    tokens_per_step: PositiveFloat
    mfu: PositiveFloat

    @property
    def tokens_per_s(self) -> float:
        """Of all GPUs together."""
        return self.tokens_per_step / self.step_time_s
