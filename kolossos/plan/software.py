"""Software generations as columns."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from kolossos.plan.coefficients import SoftwareGeneration
from kolossos.plan.columns import Column, Columns


@dataclass(frozen=True)
class SoftwareColumns(Columns):
    """The fields of SoftwareGeneration, flags as 0 or 1."""

    flash_attention: Column
    tp_overlap: Column
    dp_overlap: Column
    pp_overlap: Column
    ep_overlap: Column
    ep_deduplicates: Column
    gradient_bytes: Column
    selective_linear: Column
    selective_drops: Column
    selective_attention: Column
    attention_scale: Column
    elementwise_passes: Column
    expert_passes: Column
    quantize_passes: Column
    layer_overhead_s: Column
    micro_batch_overhead_s: Column
    shard_overhead_s: Column
    step_overhead_s: Column
    logits_bytes: Column
    activation_scale: Column
    runtime_bytes: Column
    jitter: Column

    @classmethod
    def of(cls, generation: SoftwareGeneration) -> Self:
        """The scalars of one generation."""
        values = generation.model_dump(exclude={"match", "first_year", "last_year", "zero_bubble"})
        return cls(**{name: np.float64(value) for name, value in values.items()})  # pyright: ignore[reportArgumentType]
