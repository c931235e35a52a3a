"""What a run draws, phase by phase of a step, and what energy, carbon and money it comes to."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from kolossos.simulate.engine.play import Outcome
from kolossos.simulate.fleet import Phase
from kolossos.simulate.piecewise import Array
from kolossos.simulate.scenario import Scenario
from kolossos.simulate.spec import OperationSpec
from kolossos.specs.gpu import GpuSpec
from kolossos.specs.strict import read_toml

PROFILE = Path(__file__).parent / "tables/step_power.toml"
MEGA = 1e6
HOUR_S = 3600.0


@dataclass(frozen=True)
class StepPower:
    """The site's draw while one phase of the fleet trains. Watts; storage is what a flat draw needs."""

    profile_watts: list[float]
    """At the machines, over the step, in equal parts."""
    mean_watts: float
    site_mean_watts: float
    site_peak_watts: float
    swing_watts: float
    """Plateau less trough, on the AC side."""
    swing_dc_watts: float
    """The same before the power supplies smooth it."""
    smoothing_watts: float
    smoothing_mwh: float
    stop_watts: float
    """Drop when the whole job stops."""
    stop_mwh: float
    """Storage that turns that drop, or the rise after it, into a ramp of ``power.ramp_s``."""
    over_limit_watts: float


def step_power(spec: OperationSpec, phase: Phase) -> StepPower:
    """Draw of the job and the idle spares in this phase, from a measured profile of a step."""
    power, gpus = spec.power, phase.job_nodes * spec.fleet.gpus_per_node
    idle = phase.gpu_idle_watts
    host = power.host_watts * power.fans
    spare = phase.spare_nodes * spec.fleet.gpus_per_node * (idle + host)
    ac, dc = _profile()
    busy = phase.gpu_watts * phase.power_factor + idle * (1 - phase.power_factor) + host
    profile = gpus * busy * ac / ac.mean()
    off = profile - profile.mean()
    stored = np.cumsum(off) * phase.step_time_s / len(off)
    stop = gpus * (busy - idle - host)
    mean, peak = profile.mean() + spare, profile.max() + spare
    limit = power.site_limit_watts
    return StepPower(
        profile_watts=(profile + spare).tolist(),
        mean_watts=float(mean),
        site_mean_watts=float(mean * power.pue),
        site_peak_watts=float(peak + (power.pue - 1.0) * mean),
        swing_watts=float(profile.max() - profile.min()),
        swing_dc_watts=float(gpus * busy * (dc.max() - dc.min()) / dc.mean()),
        smoothing_watts=float(np.abs(off).max()),
        smoothing_mwh=float(np.ptp(np.append(stored, 0.0)) / HOUR_S / MEGA),
        stop_watts=float(stop),
        stop_mwh=float(stop * power.ramp_s / 2.0 / HOUR_S / MEGA),
        over_limit_watts=0.0 if limit is None else float(max(mean * power.pue - limit, 0.0)),
    )


@cache
def _profile() -> tuple[Array, Array]:
    """A node's watts over a step in equal parts, on the AC and on the DC side; of it only the shape is used."""
    data = read_toml(PROFILE)
    return np.array(data["node_watts_ac"]), np.array(data["node_watts_dc"])


def energy_mwh(outcome: Outcome) -> Array:
    """Energy at the site's meter by replicate: busy GPUs at the mean of a step, all others that are on at idle."""
    power, phases = outcome.scenario.spec.power, outcome.scenario.phases
    idle = np.array([phase.gpu_idle_watts for phase in phases])
    more = np.array([phase.gpu_watts for phase in phases]) - idle
    joules = (outcome.busy_gpu_s * more + outcome.on_gpu_s * (idle + power.host_watts * power.fans)).sum(axis=1)
    return joules * power.pue / HOUR_S / MEGA


def rent_usd(scenario: Scenario) -> float:
    """Rent of all delivered GPUs, from delivery to the end of the run."""
    days, price = scenario.spec.days, scenario.spec.price.usd_per_gpu_hour
    return sum(lot.gpus * (days - lot.day) * 24.0 * _usd_per_hour(lot.kind, price) for lot in scenario.lots)


def _usd_per_hour(kind: GpuSpec, given: float | None) -> float:
    """The price given, or that of the GPU's file; 0 where neither is known."""
    return (kind.usd_per_hour or 0.0) if given is None else given


def cost_usd(scenario: Scenario, energy: Array) -> Array:
    """Rent, and energy where it is not in the rent."""
    bill = energy * 1000.0 * scenario.spec.power.usd_per_kwh
    return rent_usd(scenario) + (0.0 if scenario.spec.price.energy_included else 1.0) * bill
