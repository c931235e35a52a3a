"""Generations of training software: what each does at the same time, and its small change; as specs and as columns.

``software.toml`` is written by ``benchmarks/fit_plan.py``; nothing in it belongs to a row, a model or a source.
"""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, field_validator

from kolossos.errors import InputError, nearest
from kolossos.plan.choices import NAMES
from kolossos.plan.columns import Column, Columns
from kolossos.specs.strict import Spec, read_toml

SOFTWARE = Path(__file__).parent / "software.toml"
MEGATRON_BY_YEAR = ((2022, "megatron-2021"), (2024, "megatron-2024"), (2025, "megatron-2025"), (9999, "megatron-2026"))
"""For a framework that no generation names: Megatron's of that time."""


class SoftwareGeneration(Spec):
    """One generation of training software: what it does at the same time (facts), and its small change (fitted)."""

    match: list[str] = Field(description="lower-case beginnings of the names of frameworks that belong here")
    first_year: int = Field(default=0, description="of the measurements")
    last_year: int = 9999
    flash_attention: bool = Field(description="attention never writes its scores")
    tp_overlap: bool
    dp_overlap: bool
    pp_overlap: bool
    ep_overlap: bool = Field(default=False, description="all-to-all behind the products of another micro-batch")
    ep_deduplicates: bool = Field(default=False, description="a token goes once to each node (DeepEP, HybridEP)")
    schedules: list[str] = Field(description="of pipelines that it can run; names as in Layout")
    gradient_bytes: Literal[2, 4, 6] = 4
    gather_bytes: Literal[2, 4] = Field(default=2, description="of a parameter on the wire and, gathered, in memory")
    gathers_again: bool = Field(default=True, description="backward gathers inputs (tp) and keys (cp) anew: not kept")
    vocabulary_parallel: bool = Field(
        default=True, description="tp cuts embedding and output; else its ranks share them"
    )
    etp_before_dispatch: bool = Field(
        default=False, description="cut experts (etp) get the tokens of all tp ranks, routed then; else routed rows"
    )
    selective_linear: float = Field(default=0.0, ge=0, le=1, description="share of products that 'selective' repeats")
    selective_drops: float = Field(default=0.0, ge=0, le=1, description="share of cheap activations it does not keep")
    selective_attention: bool = Field(default=True, description="'selective' repeats the attention core")

    attention_scale: float = Field(gt=0, description="time of its attention kernel over the best of the card")
    elementwise_passes: float = Field(gt=0, description="times that each tensor is moved, over the fewest possible")
    expert_passes: float = Field(gt=0, description="the same for permutations and small experts' kernels")
    quantize_passes: float = Field(gt=0, description="the same for casts to 8 and 4 bits")
    layer_overhead_s: float = Field(ge=0, description="gaps between kernels, per layer and direction")
    micro_batch_overhead_s: float = Field(ge=0, description="hand-shake of a pipeline stage, per chunk and micro-batch")
    shard_overhead_s: float = Field(ge=0, description="per rank that shards the optimizer: one broadcast or hop each")
    step_overhead_s: float = Field(ge=0, description="per step: data, logging, the optimizer's host part")
    logits_bytes: float = Field(
        default=10.0, gt=0, description="a logit at its peak: bf16, its fp32 copy, that one's gradient; less if fused"
    )
    head_bytes: float = Field(
        default=0.0, ge=0, description="a parameter of the output matrix while a loss is made with its gradient: casts"
    )
    activation_scale: float = Field(default=1.0, gt=0, description="memory of activations over that counted")
    runtime_bytes: float = Field(default=4e9, ge=0, description="context, communicators, workspaces, fragmentation")
    jitter: float = Field(ge=0, description="slow-down per doubling of the GPUs that wait for each other")

    @field_validator("schedules")
    @classmethod
    def _known(cls, schedules: list[str]) -> list[str]:
        for name in schedules:
            if name not in NAMES["schedule"]:
                raise ValueError(f"unknown schedule '{name}'{nearest(name, NAMES['schedule'])}")
        return schedules


class Software(Spec):
    """All generations by name."""

    fitted: str = Field(description="date and command")
    generations: dict[str, SoftwareGeneration]

    def generation_of(self, framework: str, year: int) -> str:
        """Name of the generation that a framework's name and year belong to (longest match); Megatron's if none."""
        if name := self.fitted_generation(framework, year):
            return name
        lowered = framework.lower()
        if "fsdp" in lowered or "torchtitan" in lowered:
            return "fsdp-2023" if year <= 2023 else "fsdp2" if year == 2024 else "fsdp2-2025"
        return next(name for last, name in MEGATRON_BY_YEAR if year <= last)

    def fitted_generation(self, framework: str, year: int) -> str | None:
        """The generation that was fitted to this framework, if there is one."""
        lowered = framework.lower()
        found = [
            (len(beginning), name)
            for name, software in self.generations.items()
            for beginning in software.match
            if lowered.startswith(beginning) and software.first_year <= year <= software.last_year
        ]
        return max(found)[1] if found else None

    def named(self, name: str) -> SoftwareGeneration:
        """The generation ``name``; InputError with the nearest names."""
        if name not in self.generations:
            raise InputError(f"unknown software generation '{name}'{nearest(name, self.generations)}")
        return self.generations[name]


@cache
def load_software(path: Path = SOFTWARE) -> Software:
    """Read the generations (once)."""
    return Software.parse(read_toml(path), str(path))


@dataclass(frozen=True)
class SoftwareColumns(Columns):
    """The figures of a SoftwareGeneration, flags as 0 or 1."""

    flash_attention: Column
    tp_overlap: Column
    dp_overlap: Column
    pp_overlap: Column
    ep_overlap: Column
    ep_deduplicates: Column
    gradient_bytes: Column
    gather_bytes: Column
    gathers_again: Column
    vocabulary_parallel: Column
    etp_before_dispatch: Column
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
    head_bytes: Column
    activation_scale: Column
    runtime_bytes: Column
    jitter: Column

    @classmethod
    def of(cls, generation: SoftwareGeneration) -> Self:
        """The scalars of one generation."""
        values = generation.model_dump(include={f.name for f in fields(cls)})
        return cls(**{name: np.float64(value) for name, value in values.items()})  # pyright: ignore[reportArgumentType]
