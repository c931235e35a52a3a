"""GpuFamily: what the accelerators of one generation share: links, rates under load, tiles of their kernels, power.

A family is a file in the catalogue. Its rates are fitted to published runs by ``benchmarks/fit_plan.py``; a card that
nobody trained on gets those of its family.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, Strict

from kolossos.errors import InputError, nearest
from kolossos.specs.strict import Spec, read_toml

FAMILIES = Path(__file__).parent / "catalogue" / "families"


class CardRates(Spec):
    """How far a card under a training load stays below its best case."""

    matmul_scale_bf16: float = Field(gt=0, description="time of a product over its best-case microbenchmark: the clock")
    matmul_scale_fp8: float = Field(gt=0)
    matmul_scale_fp4: float = Field(gt=0)
    attention_scale: float = Field(gt=0, description="the same for the attention kernel of its architecture")
    memory_efficiency: float = Field(gt=0, le=1, description="share of the printed bandwidth that a stream reaches")


class LinkRates(Spec):
    """Rates of links over the printed ones."""

    DEFAULT_LATENCY_S: ClassVar[float] = 8e-6

    nvlink_efficiency: float = Field(gt=0)
    fabric_efficiency: float = Field(gt=0)
    nvlink_latency_s: float = Field(default=DEFAULT_LATENCY_S, gt=0)
    collective_share: float = Field(default=0.1, ge=0, le=1, description="of the multiprocessors, held by a collective")


class KernelFacts(Spec):
    """How kernels of the architecture are built, and whose measured times stand for a card that was not measured."""

    measured_on: str = Field(description="card with a file in plan/kernels/coefficients")
    tiles: list[Annotated[tuple[int, int, int], Strict(False)]] = Field(
        min_length=1, description="rows, columns and multiprocessors of the tiles of matrix products"
    )
    tiles_source: str = ""
    backward_rate: float = Field(gt=0, description="of attention: backward's rate over forward's, each by its FLOPs")
    backward_rate_source: str
    untuned_head_dims: list[int] = Field(default=[], description="that no measured software had a good kernel for")


class GpuFamily(Spec):
    """One family. ``kernels`` is None where only a file of ``kolossos calibrate`` knows kernel times."""

    name: str
    source: str = ""
    is_processor: bool = Field(default=False, description="starts products one by one; no published run trained on it")
    compute_capabilities: list[int] = Field(default=[], description="CUDA's major numbers")
    nic_bytes_per_s: float = Field(gt=0, description="of one card in its usual server")
    nic_bytes_per_s_of: dict[str, float] = Field(default={}, description="of cards that are sold with another")
    waiting_share: float | None = Field(default=None, ge=0, le=1, description="None: as measured on H100 (specs.draw)")
    links: LinkRates
    rates: CardRates = Field(description="of a card that nobody trained on")
    rates_of: dict[str, CardRates] = Field(default={}, description="by card")
    kernels: KernelFacts | None = None

    def card_rates(self, card: str) -> CardRates:
        """Those of a card, or of the family if the card was never trained on."""
        return self.rates_of.get(card) or self.rates

    def nic_rate(self, card: str) -> float:
        """Bytes/s of the link that a card of this family usually has to the fabric."""
        return self.nic_bytes_per_s_of.get(card, self.nic_bytes_per_s)


@cache
def family_names() -> tuple[str, ...]:
    """The families there are, sorted."""
    return tuple(sorted(path.stem for path in FAMILIES.glob("*.toml")))


@cache
def load_family(name: str) -> GpuFamily:
    """The family ``name`` (read once); InputError with the nearest names."""
    if name not in family_names():
        raise InputError(f"unknown family of GPUs '{name}'{nearest(name, family_names())}")
    path = FAMILIES / f"{name}.toml"
    values: dict[str, Any] = {"name": name, **read_toml(path)}
    return GpuFamily.parse(values, str(path))


def family_of_capability(major: int) -> str | None:
    """The family that a CUDA device of compute capability ``major`` belongs to: the newest for one newer than all."""
    known = {number: name for name in family_names() for number in load_family(name).compute_capabilities}
    if known and major > max(known):
        return known[max(known)]
    return known.get(major)
