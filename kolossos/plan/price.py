"""Watts, joules, money and days of a plan."""

from dataclasses import dataclass
from math import nan

from kolossos.plan.columns import Column
from kolossos.plan.step import StepColumns
from kolossos.specs.cluster import PowerSpec
from kolossos.specs.counts import training_flops_per_token
from kolossos.specs.draw import gpu_watts, power_known
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.model import ModelSpec

SECONDS_PER_DAY = 86_400.0
JOULES_PER_KWH = 3.6e6


def busy_seconds(step: StepColumns) -> Column:
    """Seconds of a step in which the mean GPU computes."""
    return step.matmul + step.attention + step.elementwise + step.quantize + step.optimizer


def site_watts_per_gpu(gpu: GpuSpec, power: PowerSpec, busy_share: Column | float) -> Column | float:
    """What the site draws for one working GPU: with its share of host and network, and cooling."""
    return (gpu_watts(gpu, busy_share) + power.host_watts_per_gpu) * power.pue


def idle_site_watts_per_gpu(gpu: GpuSpec, power: PowerSpec) -> float:
    """The same for a GPU of the cluster that the plan leaves unused."""
    return ((gpu.idle or 0.0) + power.host_watts_per_gpu) * power.pue


def model_flops_utilization(
    model: ModelSpec, gpu: GpuSpec, precision: str, tokens_per_gpu_second: Column | float, seq_len: int
) -> Column | float:
    """MFU: model FLOPs (no recompute, causal attention) over the dense peak of the precision used."""
    return training_flops_per_token(model, seq_len) * tokens_per_gpu_second / gpu.peak(precision)


@dataclass(frozen=True)
class Bill:
    """What ``tokens`` cost: seconds, joules, dollars, kilograms of CO2; nan for what nobody knows."""

    tokens: float
    days: float
    energy_joules: float
    energy_usd: float
    rent_usd: float
    co2_kg: float
    gpu_hours: float
    site_watts: float
    site_limit_watts: float | None

    @property
    def over_limit_watts(self) -> float:
        """By how much the site's limit is broken; 0 if it is not, or unknown."""
        return max(self.site_watts - self.site_limit_watts, 0.0) if self.site_limit_watts else 0.0


@dataclass(frozen=True)
class Worker:
    """GPUs of one kind that work in a plan."""

    gpu: GpuSpec
    n_used: int
    n_idle: int
    busy_share: float
    usd_per_gpu_hour: float


def bill(workers: list[Worker], power: PowerSpec, seconds_per_token: float, tokens: float) -> Bill:
    """Price ``tokens``: energy and rent of the GPUs that work, power of the site with those that stand by."""
    seconds = seconds_per_token * tokens
    working = sum(w.n_used * float(site_watts_per_gpu(w.gpu, power, w.busy_share)) for w in workers)
    idle = sum(w.n_idle * idle_site_watts_per_gpu(w.gpu, power) for w in workers)
    known = all(power_known(worker.gpu) for worker in workers)
    energy = working * seconds if known else nan
    hours = sum(w.n_used for w in workers) * seconds / 3600.0
    return Bill(
        tokens=tokens,
        days=seconds / SECONDS_PER_DAY,
        energy_joules=energy,
        energy_usd=energy / JOULES_PER_KWH * power.usd_per_kwh,
        rent_usd=sum(w.n_used * w.usd_per_gpu_hour for w in workers) * seconds / 3600.0,
        co2_kg=energy / JOULES_PER_KWH * power.gco2_per_kwh / 1000.0,
        gpu_hours=hours,
        site_watts=working + idle if known else nan,
        site_limit_watts=power.site_limit_watts,
    )


def energy_per_second(gpu: GpuSpec, power: PowerSpec) -> tuple[float, float]:
    """Joules of one GPU's site share for a second of any step, and on top for a second of computing."""
    waiting = float(site_watts_per_gpu(gpu, power, 0.0))
    return waiting, float(site_watts_per_gpu(gpu, power, 1.0)) - waiting
