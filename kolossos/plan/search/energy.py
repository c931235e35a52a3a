"""Watts and joules of a GPU with its share of the site, for a search to weigh."""

from kolossos.plan.columns import Column
from kolossos.specs.cluster import PowerSpec
from kolossos.specs.draw import gpu_watts
from kolossos.specs.gpu import GpuSpec


def site_watts_per_gpu(gpu: GpuSpec, power: PowerSpec, busy_share: Column | float) -> Column | float:
    """What the site draws for one working GPU: with its share of host and network, and cooling."""
    return (gpu_watts(gpu, busy_share) + power.host_watts_per_gpu) * power.pue


def idle_site_watts_per_gpu(gpu: GpuSpec, power: PowerSpec) -> float:
    """The same for a GPU of the cluster that the plan leaves unused."""
    return ((gpu.idle or 0.0) + power.host_watts_per_gpu) * power.pue


def energy_per_second(gpu: GpuSpec, power: PowerSpec) -> tuple[float, float]:
    """Joules of one GPU's site share for a second of any step, and on top for a second of computing."""
    waiting = float(site_watts_per_gpu(gpu, power, 0.0))
    return waiting, float(site_watts_per_gpu(gpu, power, 1.0)) - waiting
