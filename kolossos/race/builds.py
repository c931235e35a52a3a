"""How named sites grow, from nothing but the records of sites before a date: steps of power, waits before the first.

A site with power gets further steps at random (Poisson); one without gets its first step after a lead time that is
longer than it has waited. Rate, size and lead time are those of all records up to the date, recent ones first; a
factor with heavy tails that all sites share moves rate and size (a boom builds everywhere), and the size of a step
goes on growing as the sales of chips have (momentum.py). Legend of shapes: R replicates, S sites.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from kolossos.race.assumptions import SitePoint, years_after
from kolossos.race.draws import Array
from kolossos.race.momentum import TAILS, Momentum
from kolossos.race.sites import Site, sites_known
from kolossos.streams import named_generator

RECENT_YEARS = 2.0
PRIOR_STEPS, PRIOR_SITE_YEARS = 1.5, 2.0
PRIOR_STEP_MW, PRIOR_LEAD_YEARS = 80.0, 2.0
SIZE_SPREAD, LEAD_SPREAD = 1.0, 0.5
GROWTH_SHARE = 0.5
"""Share of the growth of chip sales that goes into larger steps (the rest into more sites)."""
BOOM = 1.0
"""Scale of the logarithm of what all sites share."""
LONGEST_SEARCH = 40
LEAST_STEP_MW = 10.0
"""Smaller changes between two records are corrections of the estimate."""


@dataclass(frozen=True)
class Record:
    """What all sites showed up to a date: steps a site-year, MW of a step, years to first power (medians)."""

    steps_per_year: float
    step_mw: float
    lead_years: float


def record_at(points: list[SitePoint], day: date) -> Record:
    """The record on ``day``; later points play no part."""
    dated = sorted((p for p in points if p.date is not None and p.date <= day), key=lambda p: p.date or day)
    last: dict[str, float] = {}
    powered_since: dict[str, float] = {}
    steps: list[tuple[float, float, bool]] = []
    for point in dated:
        before = last.get(point.site, 0.0)
        when = years_after(day, point.date or day)
        if point.power_mw - before >= LEAST_STEP_MW:
            steps.append((when, point.power_mw - before, before == 0))
        if point.power_mw > 0:
            powered_since.setdefault(point.site, when)
        last[point.site] = point.power_mw
    further = [mw for when, mw, first in steps if not first and when > -RECENT_YEARS]
    site_years = sum(min(-since, RECENT_YEARS) for since in powered_since.values())
    sizes = [mw for when, mw, _ in steps if when > -2 * RECENT_YEARS]
    leads = [
        site.first_power_years - site.begun_years
        for site in sites_known(points, day, with_plans=False)
        if site.first_power_years is not None and site.begun_years is not None
    ]
    return Record(
        (len(further) + PRIOR_STEPS) / (site_years + PRIOR_SITE_YEARS),
        float(np.exp(np.mean(np.log([*sizes, PRIOR_STEP_MW])))),
        float(np.exp(np.mean(np.log([*np.maximum(leads, 0.1), PRIOR_LEAD_YEARS])))),
    )


def forecast_sites(
    sites: list[Site], record: Record, momentum: Momentum, years: float, seed: int, replicates: int
) -> Array:
    """MW of each site ``years`` after the date of the record, [R, S]."""
    shared = named_generator(seed, "boom").standard_t(TAILS, (replicates, 2))
    boom = np.exp(BOOM * np.clip(shared, -3, 3))
    rate = record.steps_per_year * boom[:, 0] ** 0.5
    size = record.step_mw * boom[:, 1] ** 0.5 * np.exp(GROWTH_SHARE * momentum.mean * years / 2)
    power = np.zeros((replicates, len(sites)))
    for s, site in enumerate(sites):
        stream = named_generator(seed, f"builds {site.name}")
        powered = np.full(replicates, years)
        steps = np.zeros(replicates, dtype=int)
        if site.power_mw <= 0:
            wait = _wait(stream, record.lead_years / boom[:, 0] ** 0.5, -(site.begun_years or 0.0))
            powered = np.maximum(years - wait, 0.0)
            steps += wait <= years
        steps += stream.poisson(rate * powered)
        normal = stream.standard_normal(replicates)
        power[:, s] = site.power_mw + steps * size * np.exp(SIZE_SPREAD * normal)
    return power


def _wait(stream: np.random.Generator, lead_years_R: Array, waited: float) -> Array:
    """Years still to wait, [R]: lead times (lognormal about ``lead_years_R``) that are longer than ``waited``."""
    drawn = np.log(lead_years_R) + LEAD_SPREAD * stream.standard_normal(lead_years_R.size)
    for _ in range(LONGEST_SEARCH):
        short = np.exp(drawn) <= waited
        if not short.any():
            break
        drawn[short] = np.log(lead_years_R[short]) + LEAD_SPREAD * stream.standard_normal(int(short.sum()))
    left = np.exp(drawn) - waited
    return np.where(left > 0, left, stream.exponential(np.median(lead_years_R), left.size))
