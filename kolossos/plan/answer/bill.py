"""What a plan costs: days, joules, money, carbon."""

from dataclasses import dataclass
from math import nan

from kolossos.plan.job import Job
from kolossos.plan.mixed.ways import MixedPlan
from kolossos.plan.search.energy import idle_site_watts_per_gpu, site_watts_per_gpu
from kolossos.plan.search.layout_parts import PricedLayout
from kolossos.specs.cluster import PowerSpec
from kolossos.specs.draw import power_known
from kolossos.specs.gpu import GpuSpec

SECONDS_PER_DAY = 86_400.0
JOULES_PER_KWH = 3.6e6


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


def bill_of(job: Job, priced: PricedLayout, tokens: float) -> Bill:
    """Days, joules and money of ``tokens`` on one kind of GPU."""
    used = priced.layout.world_size
    worker = Worker(job.gpu, used, job.n_gpus - used, priced.busy_share, job.usd_per_gpu_hour)
    return bill([worker], job.power, priced.choice.seconds_per_token, tokens)


def mixed_bill(jobs: list[Job], plan: MixedPlan, tokens: float) -> Bill:
    """The bill of a split: every kind at its own draw and rent."""
    by_name = {job.gpu.name: job for job in jobs}
    workers = []
    for part in plan.contributions:
        job = by_name[part.gpu]
        busy = part.busy_share * part.step_time_s / plan.step_time_s
        workers.append(Worker(job.gpu, part.n_gpus, part.n_idle, busy, job.usd_per_gpu_hour))
    return bill(workers, jobs[0].power, plan.seconds_per_token, tokens)
