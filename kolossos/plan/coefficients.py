"""The fitted coefficients of the step model: few, physical, one set per kind of GPU and per software generation.

``coefficients.toml`` is written by ``benchmarks/fit_plan.py``; nothing in it belongs to a row, a model or a source.
"""

from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from kolossos.errors import InputError, nearest
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.strict import Spec, read_toml

COEFFICIENTS = Path(__file__).parent / "coefficients.toml"


MEGATRON_BY_YEAR = ((2022, "megatron-2021"), (2024, "megatron-2024"), (2025, "megatron-2025"), (9999, "megatron-2026"))
"""For a framework that no generation names: Megatron's of that time."""


class GpuCoefficients(Spec):
    """How far a card under a training load stays below its best case."""

    matmul_scale_bf16: float = Field(gt=0, description="time of a product over its best-case microbenchmark: the clock")
    matmul_scale_fp8: float = Field(gt=0)
    matmul_scale_fp4: float = Field(gt=0)
    attention_scale: float = Field(gt=0, description="the same for the attention kernel of its architecture")
    memory_efficiency: float = Field(gt=0, le=1, description="share of the printed bandwidth that a stream reaches")


class LinkCoefficients(Spec):
    """Rates of links over the printed ones, for one family of cards."""

    DEFAULT_LATENCY_S: ClassVar[float] = 8e-6

    nvlink_efficiency: float = Field(gt=0)
    fabric_efficiency: float = Field(gt=0)
    nvlink_latency_s: float = Field(default=DEFAULT_LATENCY_S, gt=0)
    collective_share: float = Field(default=0.1, ge=0, le=1, description="of the multiprocessors, held by a collective")


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
    zero_bubble: bool = Field(default=False, description="it has a schedule of arXiv:2401.10241")
    gradient_bytes: Literal[2, 4, 6] = 4
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
    activation_scale: float = Field(default=1.0, gt=0, description="memory of activations over that counted")
    runtime_bytes: float = Field(default=4e9, ge=0, description="context, communicators, workspaces, fragmentation")
    jitter: float = Field(ge=0, description="slow-down per doubling of the GPUs that wait for each other")


class Coefficients(Spec):
    """Everything fitted; the figures of the generation ``kolossos`` (this trainer on a CPU) are estimates."""

    fitted: str = Field(description="date and command")
    links: dict[str, LinkCoefficients] = Field(description="by family")
    gpus: dict[str, GpuCoefficients]
    software: dict[str, SoftwareGeneration]

    def gpu(self, card: GpuSpec) -> GpuCoefficients:
        """Those of a card, or of its family if the card was never trained on; none if its own file was measured."""
        if card.measured is not None:
            return GpuCoefficients.model_validate(dict.fromkeys(GpuCoefficients.model_fields, 1.0))
        return self.gpus.get(card.name) or self.gpus[card.family]

    def link(self, card: GpuSpec) -> LinkCoefficients:
        """Those of its family; a measured file holds the rates that were reached, and its latency."""
        if card.measured is None:
            return self.links[card.family]
        latencies = [fit.latency_s for fit in card.measured.collectives if fit.latency_s]
        first = min(latencies, default=LinkCoefficients.DEFAULT_LATENCY_S)
        return LinkCoefficients(nvlink_efficiency=1.0, fabric_efficiency=1.0, nvlink_latency_s=first)

    def generation(self, framework: str, year: int) -> str:
        """Name of the generation that a framework's name and year belong to (longest match); Megatron's if none."""
        if name := self.named_generation(framework, year):
            return name
        lowered = framework.lower()
        if "fsdp" in lowered or "torchtitan" in lowered:
            return "fsdp-2023" if year <= 2023 else "fsdp2" if year == 2024 else "fsdp2-2025"
        return next(name for last, name in MEGATRON_BY_YEAR if year <= last)

    def named_generation(self, framework: str, year: int) -> str | None:
        """The generation that was fitted to this framework, if there is one."""
        lowered = framework.lower()
        found = [
            (len(beginning), name)
            for name, software in self.software.items()
            for beginning in software.match
            if lowered.startswith(beginning) and software.first_year <= year <= software.last_year
        ]
        return max(found)[1] if found else None

    def software_named(self, name: str) -> SoftwareGeneration:
        """The generation ``name``; InputError with the nearest names."""
        if name not in self.software:
            raise InputError(f"unknown software generation '{name}'{nearest(name, self.software)}")
        return self.software[name]


@cache
def load_coefficients(path: Path = COEFFICIENTS) -> Coefficients:
    """Read the coefficients (once)."""
    return Coefficients.parse(read_toml(path), str(path))
