"""Power of announced and begun sites: planned dates slip, some plans fall through, begun sites take their lead time."""

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from kolossos.race.assumptions import SitePoint, years_after
from kolossos.race.draws import Array, Draws


@dataclass
class Site:
    """One site as known at ``start``: power then, plans after it (years from the start, MW), year of its begin."""

    name: str
    owner: str
    power_mw: float
    begun_years: float | None
    first_power_years: float | None
    certainty: str
    plans: list[tuple[float, float]] = field(default_factory=list)
    announced_mw: float | None = None


def sites_known(points: list[SitePoint], start: date, with_plans: bool = True) -> list[Site]:
    """The sites with a record at ``start``, and with ``with_plans`` what was planned or announced for later."""
    sites: dict[str, Site] = {}
    for point in points:
        if point.date is None:
            if with_plans:
                sites[point.site] = Site(
                    point.site, point.owner, 0.0, None, None, point.certainty, announced_mw=point.power_mw
                )
            continue
        years = years_after(start, point.date)
        if years <= 0:
            site = sites.setdefault(point.site, Site(point.site, point.owner, 0.0, years, None, point.certainty))
            site.power_mw = point.power_mw
            if point.power_mw > 0 and site.first_power_years is None:
                site.first_power_years = years
        elif with_plans:
            site = sites.setdefault(point.site, Site(point.site, point.owner, 0.0, years, None, point.certainty))
            site.plans.append((years, point.power_mw))
            site.certainty = point.certainty
    return list(sites.values())


def planned_power(sites: list[Site], draws: Draws, years: int, delayed: bool = True) -> Array:
    """MW of each site at the end of each year by its plans, [replicates, sites, years + 1]; entry 0 is the start.

    With ``delayed`` false, planned dates hold and announced sites have power at once (the same plans fall through).
    """
    n = len(sites)
    delay = draws.draw("site_delay", n) if delayed else np.zeros((draws.replicates, n))
    lead = draws.draw("lead_time", n) if delayed else np.zeros((draws.replicates, n))
    ramp = draws.draw("site_ramp", n)
    begin = draws.stream("site_begin").uniform(0.0, 2.0, (draws.replicates, n)) * delayed
    happens = draws.stream("site_happens").uniform(size=(draws.replicates, n))
    power = np.zeros((draws.replicates, n, years + 1))
    ends = np.arange(years + 1.0)
    for i, site in enumerate(sites):
        power[:, i] = site.power_mw
        built = happens[:, i, None] < draws.assumptions.certainty[site.certainty]
        if site.announced_mw is not None:
            since_power = ends - begin[:, i, None] - lead[:, i, None]
            grown = site.announced_mw if not delayed else np.clip(since_power, 0, None) * ramp[:, i, None]
            power[:, i] += built * np.minimum(grown, site.announced_mw) * (ends > 0)
            continue
        for when, mw in site.plans:
            reached = built & (when + delay[:, i, None] <= ends)
            power[:, i] = np.where(reached, np.maximum(mw, power[:, i]), power[:, i])
    return power
