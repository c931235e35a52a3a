"""GpuSpec: one accelerator as its maker specifies it. What it really reaches is for the planner's coefficients."""

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from kolossos.specs.strict import Spec


class PeakFlops(Spec):
    """Dense matrix-product rates in FLOP/s; ``None`` where the card has no such units."""

    fp32: PositiveFloat | None = None
    bf16: PositiveFloat
    fp8: PositiveFloat | None = None
    mxfp8: PositiveFloat | None = None
    nvfp4: PositiveFloat | None = None


class GpuSpec(Spec):
    """One accelerator (or one CPU used as one). Bytes, seconds, FLOPs and watts are the units."""

    name: str
    source: str = ""
    family: Literal["ampere", "hopper", "blackwell", "cpu"]

    peak_flops: PeakFlops
    memory_bytes: PositiveFloat
    memory_bandwidth_bytes_per_s: PositiveFloat
    n_sms: PositiveInt = Field(description="streaming multiprocessors (or cores)")
    l2_bytes: PositiveFloat
    boost_clock_hz: PositiveFloat
    nvlink_bytes_per_s: PositiveFloat = Field(description="one way, per GPU, inside its NVLink domain")

    tdp_watts: PositiveFloat
    idle_watts: PositiveFloat = Field(description="drawn with nothing to do")
    usd_per_hour: PositiveFloat | None = Field(default=None, description="rent per GPU-hour")
    purchase_usd: PositiveFloat | None = None

    def peak(self, precision: str) -> float:
        """Matrix FLOP/s in ``precision``; ValueError if the card cannot."""
        rate = getattr(self.peak_flops, precision, None)
        if rate is None:
            known = ", ".join(name for name, value in self.peak_flops if value)
            raise ValueError(f"{self.name} has no {precision} matrix units (it has {known})")
        return rate
