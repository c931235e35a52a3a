"""The race held against what happened: forecasts from earlier dates, with what was known then (a rolling origin).

*sales*: chips sold in a year, from every quarter since 2018. *sites*: the power of each named site, of each owner's
and of all, from every half year since the end of 2021, without any plan (plans as they stood then are not published).
*world* and *owners*: the whole race, from March 2024 and October 2024 to the end of 2025. Parameters for a test at a
date come from records before it. Constants of builds.py were chosen on ``tuned`` rows of *sites* (every second site,
by the date of its first record), those of momentum.py on ``tuned`` rows of *sales* (origins in even years, up to two
years on); *world*, *owners*, and sums of sites chose nothing. Rows overlap: those of one origin share its mood.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from kolossos.race.assumptions import (
    DAYS_PER_YEAR,
    TABLES,
    Assumption,
    RaceAssumptions,
    SitePoint,
    load_assumptions,
    years_after,
)
from kolossos.race.builds import forecast_sites, record_at
from kolossos.race.draws import Array
from kolossos.race.momentum import QUARTERS, Sales, load_sales, momentum_at
from kolossos.race.sites import sites_known
from kolossos.race.years import run_race

SITE_STARTS = (date(2021, 12, 31), *(date(y, m, d) for y in (2022, 2023, 2024) for m, d in ((6, 30), (12, 31))),
               date(2025, 6, 30))  # fmt: skip
SITE_YEARS = (0.5, 1.0, 2.0)
SALES_YEARS, TUNED_YEARS = 5, 2
FIRST_SALES = date(2017, 12, 31)
UNTUNED = "all on which nothing was chosen"
NEAR = timedelta(days=800)
LAST_SEEN = date(2025, 12, 17)  # later rows of the timelines are plans
OWNERS_END = date(2025, 12, 31)
STOCK_GROWTH_SPREAD = 1.25
"""Ratio of the 95 % point of the last year's growth, as sales show it, to its median: other makers' chips."""
WORLD_ACTUAL = 20.3e6
"""H100 equivalents in the fourth quarter of 2025: 21.3 M (Epoch AI Chip Owners as reported by businessengineer.ai) less
about 1 M by Epoch AI's own erratum."""


@dataclass(frozen=True)
class Comparison:
    """One forecast (5, 50 and 95 % points) and the outcome, in ``unit``; on ``tuned`` rows constants were chosen."""

    test: str
    start: date
    end: date
    what: str
    unit: str
    low: float
    median: float
    high: float
    actual: float
    tuned: bool = False

    @property
    def covered(self) -> bool:
        """Whether the outcome lies in the 90 % band."""
        return bool(self.low <= self.actual * (1 + 1e-9) and self.actual <= self.high * (1 + 1e-9))

    @property
    def error(self) -> float | None:
        """Forecast median over outcome, less one; None where nothing came."""
        return self.median / self.actual - 1 if self.actual else None

    @property
    def factor(self) -> float:
        """By what factor the median was off, at least 1; infinite where one of the two is nothing."""
        if self.median == self.actual:
            return 1.0
        return max(self.median, self.actual) / low if (low := min(self.median, self.actual)) else float("inf")

    @property
    def trivial(self) -> bool:
        """Whether nothing was forecast and nothing came."""
        return self.median == self.actual == 0


def backtest(points: list[SitePoint], seed: int, replicates: int) -> list[Comparison]:
    """All comparisons of all tests."""
    rows = list(_sales(load_sales(), seed, replicates))
    for start in SITE_STARTS:
        rows += _sites(points, start, seed, replicates)
    now = load_assumptions()
    owners = {name: now.owners[name].h100_equivalents for name in ("Google", "Microsoft", "Meta", "xAI")}
    for test, file, actual in (
        ("world", "backtest_world.toml", {"World": WORLD_ACTUAL}),
        ("owners", "backtest_owners.toml", owners),
    ):
        rows += _stocks(test, _with_growth_then(load_assumptions(TABLES / file)), actual, points, seed, replicates)
    return rows


def coverage(rows: list[Comparison]) -> dict[str, dict[str, Any]]:
    """For each test (rows that chose constants apart) and for all: outcomes, those in the 90 % band, typical factor.

    The factor is the median over the rows in which something was forecast or came.
    """
    groups: dict[str, list[Comparison]] = {}
    for row in rows:
        groups.setdefault(f"{row.test}, constants chosen on these" if row.tuned else row.test, []).append(row)
    groups[UNTUNED] = [row for row in rows if not row.tuned]
    groups[f"{UNTUNED}, up to two years on"] = [row for row in groups[UNTUNED] if row.end - row.start < NEAR]
    groups["all"] = rows
    summary = {}
    for name, chosen in groups.items():
        factors = [row.factor for row in chosen if not row.trivial]
        typical = float(np.median(factors))
        summary[name] = {
            "comparisons": len(chosen),
            "covered": sum(row.covered for row in chosen),
            "median_factor_off": round(typical, 3) if np.isfinite(typical) else None,
            "medians_too_low": sum(bool(row.median < row.actual) for row in chosen),
            "medians_too_high": sum(bool(row.median > row.actual) for row in chosen),
        }
    return summary


def _row(test: str, start: date, end: date, what: str, drawn: Array, actual: float, **more: bool) -> Comparison:
    unit = "million USD" if test.startswith("sales") else "MW" if "sites" in test else "H100 equivalents"
    low, median, high = (float(v) for v in np.percentile(drawn, [5, 50, 95]))
    return Comparison(test, start, end, what, unit, low, median, high, actual, **more)


def _sales(sales: list[Sales], seed: int, replicates: int) -> Iterator[Comparison]:
    """Sales of four quarters, one to five years on, from each quarter's publication."""
    for i, row in enumerate(sales):
        if row.published < FIRST_SALES:
            continue
        grown = momentum_at(row.published, sales).log_growth(seed, replicates, 1, SALES_YEARS)[:, 0].cumsum(axis=1)
        for years in range(1, SALES_YEARS + 1):
            if i + years * QUARTERS < len(sales):
                then = sales[i + years * QUARTERS]
                drawn = row.million_usd * np.exp(grown[:, years - 1])
                tuned = row.published.year % 2 == 0 and years <= TUNED_YEARS
                name = "sales, 1 or 2 years on" if years <= TUNED_YEARS else "sales, 3 to 5 years on"
                yield _row(name, row.published, then.end, "four quarters", drawn, then.million_usd, tuned=tuned)


def _sites(points: list[SitePoint], start: date, seed: int, replicates: int) -> Iterator[Comparison]:
    """MW of each site with a record at ``start``, of each owner's where there are several, and of all."""
    sites, record = sites_known(points, start, with_plans=False), record_at(points, start)
    momentum, tuned = momentum_at(start, load_sales()), _tuned_sites(points)
    for years in SITE_YEARS:
        end = start + timedelta(days=round(years * DAYS_PER_YEAR))
        if end > LAST_SEEN + timedelta(days=15):
            continue
        end = min(end, LAST_SEEN)
        power = forecast_sites(sites, record, momentum, years, seed, replicates)
        actual = {s.name: s.power_mw for s in sites_known(points, end, with_plans=False)}
        for s, site in enumerate(sites):
            yield _row("sites", start, end, site.name, power[:, s], actual[site.name], tuned=site.name in tuned)
        for owner in sorted({site.owner for site in sites}):
            own = [s for s, site in enumerate(sites) if site.owner == owner]
            if len(own) > 1:
                total = sum(actual[sites[s].name] for s in own)
                yield _row("sites of an owner", start, end, owner, power[:, own].sum(axis=1), total)
        yield _row(
            "all sites", start, end, f"{len(sites)} sites", power.sum(axis=1), sum(actual[s.name] for s in sites)
        )


def _tuned_sites(points: list[SitePoint]) -> set[str]:
    """Every second site by the date of its first record, the first one among them."""
    dated = sorted((p.date, p.site) for p in points if p.date is not None)
    return set(list(dict.fromkeys(site for _, site in dated))[::2])


def _stocks(
    test: str,
    assumptions: RaceAssumptions,
    actual: dict[str, float],
    points: list[SitePoint],
    seed: int,
    replicates: int,
) -> list[Comparison]:
    """H100 equivalents of the owners in ``actual`` at the end of 2025, from ``assumptions`` of an earlier date."""
    tested = {name: assumptions.owners[name].model_copy(update={"first_year_spend": None}) for name in actual}
    assumptions = assumptions.model_copy(update={"owners": tested})
    seen = [p for p in points if p.date is not None and p.date <= assumptions.start]
    race = run_race(assumptions, seen, 2, seed, replicates)
    after = years_after(assumptions.start, OWNERS_END) - 1  # between the ends of the first and the second year
    rows = []
    for i, name in enumerate(race.owners):
        stock = race.stock_ROY[:, i, 1] ** (1 - after) * race.stock_ROY[:, i, 2] ** after
        rows.append(_row(test, assumptions.start, OWNERS_END, name, stock, actual[name]))
    return rows


def _with_growth_then(then: RaceAssumptions) -> RaceAssumptions:
    """``then`` with the growth of the stock that sales up to its start show, in place of the mean of earlier years."""
    growth = momentum_at(then.start, load_sales()).stock_growth
    seen = Assumption(
        what=then.assumptions["stock_growth"].what,
        low=[growth / STOCK_GROWTH_SPREAD],
        median=[growth],
        high=[growth * STOCK_GROWTH_SPREAD],
        source=f"chips sold up to {then.start} (tables/sales.csv)",
        grade="D",
    )
    return then.model_copy(update={"assumptions": {**then.assumptions, "stock_growth": seen}})
