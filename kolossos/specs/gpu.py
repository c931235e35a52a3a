"""GpuSpec: one accelerator as its maker specifies it. What it really reaches is for the planner's coefficients."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from kolossos.errors import InputError, nearest
from kolossos.specs.gpu_family import family_names
from kolossos.specs.strict import Spec


class PeakFlops(Spec):
    """Dense matrix-product rates in FLOP/s; ``None`` where the card has no such units."""

    fp32: PositiveFloat | None = None
    bf16: PositiveFloat
    fp8: PositiveFloat | None = None
    mxfp8: PositiveFloat | None = None
    nvfp4: PositiveFloat | None = None


class ProductFit(Spec):
    """Fitted seconds of C_MN = A_MK @ B_KN: launch_s + 2mnk / rate + mk left_s + kn right_s + mn out_s.

    Packing A and B and writing C are what make small and thin products slow.
    """

    launch_s: NonNegativeFloat
    rate_flops_per_s: PositiveFloat
    left_s: NonNegativeFloat = Field(description="per element of A")
    right_s: NonNegativeFloat = Field(description="per element of B")
    out_s: NonNegativeFloat = Field(description="per element of C")
    held_out_error: NonNegativeFloat = Field(description="mean |predicted / measured - 1| on shapes not fitted")
    n_shapes: PositiveInt
    square_share_of_peak: dict[str, PositiveFloat] = Field(default={}, description="by side, of the measured peak")


class AttentionFit(Spec):
    """Fitted seconds of fused attention: launch_s + FLOPs / rate + (q + k + v + o) element_s; backward its own."""

    launch_s: NonNegativeFloat
    rate_flops_per_s: PositiveFloat
    element_s: NonNegativeFloat
    backward_launch_s: NonNegativeFloat
    backward_rate_flops_per_s: PositiveFloat = Field(description="of 2.5 times the FLOPs of forward")
    backward_element_s: NonNegativeFloat
    held_out_error: NonNegativeFloat


class CollectiveFit(Spec):
    """Fitted seconds of a collective: latency_s + bytes on the wire per rank / bandwidth."""

    kind: Literal["all-reduce", "all-gather", "all-to-all"]
    backend: str
    ranks: PositiveInt
    latency_s: NonNegativeFloat
    bandwidth_bytes_per_s: PositiveFloat
    fit_error: NonNegativeFloat = Field(description="mean |fitted / measured - 1|")


class MeasuredSpec(Spec):
    """What ``kolossos calibrate`` measured: every rate in the file is then one that was reached, not printed."""

    date: str
    machine: str
    torch: str
    threads: PositiveInt
    busy_cores: NonNegativeFloat = Field(description="that other programs used meanwhile; 0 if not known")
    spread: NonNegativeFloat = Field(description="median over all timings of (median of rounds / best - 1)")
    operation_s: PositiveFloat = Field(description="overhead of one small operation")
    copy_bytes_per_s: PositiveFloat
    triad_bytes_per_s: PositiveFloat
    products: dict[str, ProductFit]
    attention: dict[str, AttentionFit] = Field(default_factory=dict)
    collectives: list[CollectiveFit] = Field(default_factory=list)
    load_watts: PositiveFloat | None = None


class GpuSpec(Spec):
    """One accelerator (or one CPU used as one). Bytes, seconds, FLOPs and watts are the units."""

    name: str
    source: str = ""
    family: str = Field(description="a file of the catalogue's families")

    peak_flops: PeakFlops
    memory_bytes: PositiveFloat
    memory_bandwidth_bytes_per_s: PositiveFloat
    n_sms: PositiveInt = Field(description="streaming multiprocessors (or cores)")
    l2_bytes: PositiveFloat
    boost_clock_hz: PositiveFloat | None = Field(default=None, description="None: the system does not tell")
    nvlink_bytes_per_s: PositiveFloat = Field(description="one way, per GPU, inside its NVLink domain")

    tdp: PositiveFloat | None = Field(default=None, alias="tdp_watts", description="None: not readable there")
    idle: PositiveFloat | None = Field(default=None, alias="idle_watts", description="drawn with nothing to do")
    usd_per_hour: PositiveFloat | None = Field(default=None, description="rent per GPU-hour")

    measured: MeasuredSpec | None = Field(default=None, description="present in a file of `kolossos calibrate`")

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        if family not in family_names():
            raise ValueError(f"unknown family '{family}'{nearest(family, family_names())}")
        return family

    @property
    def tdp_watts(self) -> float:
        """Most that it draws; InputError if its file does not say."""
        return self._watts("tdp_watts", self.tdp)

    @property
    def idle_watts(self) -> float:
        """Drawn with nothing to do; InputError if its file does not say."""
        return self._watts("idle_watts", self.idle)

    def _watts(self, key: str, value: float | None) -> float:
        if value is None:
            raise InputError(f"{self.name}: its power is not known; write {key} = WATTS into its hardware file")
        return value

    def peak(self, precision: str) -> float:
        """Matrix FLOP/s in ``precision``; ValueError if the card cannot."""
        rate = getattr(self.peak_flops, precision, None)
        if rate is None:
            known = ", ".join(name for name, value in self.peak_flops if value)
            raise ValueError(f"{self.name} has no {precision} matrix units (it has {known})")
        return rate
