"""The race held against what happened: forecasts from earlier dates, with what was known then.

Three tests. *sites*: the power of named sites, from the timelines cut off at a date, without any plan (plans as they
stood then are not published). *world*: the whole race, as one owner, from March 2024 to the end of 2025, both ends
measured in one way. *owners*: four owners from October 2024 to the end of 2025, the ends measured in two ways.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from kolossos.race.assumptions import (
    TABLES,
    Assumption,
    RaceAssumptions,
    SitePoint,
    load_assumptions,
    years_after,
)
from kolossos.race.draws import Draws
from kolossos.race.sites import built_power, sites_known
from kolossos.race.years import run_race

SITE_STARTS = (date(2023, 12, 31), date(2024, 12, 31))
LAST_SEEN = date(2025, 12, 17)  # later rows of the timelines are plans
OWNERS_END = date(2025, 12, 31)
RATES = ("stock_growth", "spend_growth", "ai_share_growth", "supply_growth")
WORLD_ACTUAL = 20.3e6
"""H100 equivalents in the fourth quarter of 2025: 21.3 M (Epoch AI Chip Owners as reported by businessengineer.ai) less
about 1 M by Epoch AI's own erratum."""


@dataclass(frozen=True)
class Comparison:
    """One forecast (5, 50 and 95 % points) and the outcome, in ``unit``; ``basis`` says what the forecast knew."""

    test: str
    basis: str
    start: date
    end: date
    what: str
    unit: str
    low: float
    median: float
    high: float
    actual: float

    @property
    def covered(self) -> bool:
        """Whether the outcome lies in the 90 % band."""
        return bool(self.low <= self.actual <= self.high)

    @property
    def error(self) -> float:
        """Forecast median over outcome, less one."""
        return self.median / self.actual - 1


def backtest(points: list[SitePoint], seed: int, replicates: int) -> list[Comparison]:
    """All comparisons of both tests."""
    rows: list[Comparison] = []
    now = load_assumptions()
    for start in SITE_STARTS:
        then = _as_known(now, points, start)
        for basis, assumptions in (("rates known then", then), ("rates assumed today", now)):
            rows += _sites(assumptions, basis, points, start, seed, replicates)
    certain = now.assumptions["regime"].model_copy(update={"low": [1.0], "median": [1.0], "high": [1.0]})
    owners = {name: now.owners[name].h100_equivalents for name in ("Google", "Microsoft", "Meta", "xAI")}
    bases: tuple[tuple[str, dict[str, Assumption]], ...] = (
        ("rates known then", {"regime": certain}),
        ("rates known then, and the regime term", {}),
        ("rates assumed today", {name: now.assumptions[name] for name in RATES}),
    )
    for basis, changes in bases:
        for test, file, actual in (
            ("world", "backtest_world.toml", {"World": WORLD_ACTUAL}),
            ("owners", "backtest_owners.toml", owners),
        ):
            then = load_assumptions(TABLES / file)
            then = then.model_copy(update={"assumptions": {**then.assumptions, **changes}})
            rows += _stocks(test, basis, then, actual, points, seed, replicates)
    return rows


def coverage(rows: list[Comparison]) -> dict[str, dict[str, float]]:
    """For each test and basis: comparisons, those in the 90 % band, and by what factor the median was off, typically.

    ``medians_at_zero`` forecasts of nothing (where there was something) have no factor and are counted apart.
    """
    summary = {}
    for key in dict.fromkeys((row.test, row.basis) for row in rows):
        chosen = [row for row in rows if (row.test, row.basis) == key]
        misses = [abs(np.log10(row.median / row.actual)) for row in chosen if row.median >= 0.5 and row.actual > 0]
        summary[f"{key[0]}, {key[1]}"] = {
            "comparisons": len(chosen),
            "covered": sum(bool(row.covered) for row in chosen),
            "median_factor_off": round(float(10 ** np.median(misses)), 3),
            "medians_too_low": sum(bool(row.median < row.actual) for row in chosen),
            "medians_at_zero": len(chosen) - len(misses),
        }
    return summary


def _sites(
    assumptions: RaceAssumptions, basis: str, points: list[SitePoint], start: date, seed: int, replicates: int
) -> list[Comparison]:
    """MW of each site with a record at ``start``, one and (where seen) two years on; and of their sum."""
    sites = sites_known(points, start, with_plans=False)
    horizon = OWNERS_END.year - start.year
    power = built_power(sites, Draws(assumptions, seed, replicates), horizon)
    rows = []
    for year in range(1, horizon + 1):
        end = min(date(start.year + year, 12, 31), LAST_SEEN)
        actual = {s.name: s.power_mw for s in sites_known(points, end, with_plans=False)}
        known = [s for s in sites if actual[s.name] > 0]
        columns = [(s.name, power[:, i, year], actual[s.name]) for i, s in enumerate(sites) if s in known]
        total = power[:, :, year].sum(axis=1)
        columns.append((f"all {len(sites)} known sites", total, sum(actual[s.name] for s in sites)))
        unknown = sum(mw for name, mw in actual.items() if name not in {s.name for s in sites})
        columns.append(("all sites, those begun later too", total, sum(actual[s.name] for s in sites) + unknown))
        for what, mw, seen in columns:
            low, median, high = np.percentile(mw, [5, 50, 95])
            rows.append(Comparison("sites", basis, start, end, what, "MW", low, median, high, seen))
    return rows


def _stocks(
    test: str,
    basis: str,
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
        low, median, high = np.percentile(stock, [5, 50, 95])
        dates = (assumptions.start, OWNERS_END)
        rows.append(Comparison(test, basis, *dates, name, "H100 equivalents", low, median, high, actual[name]))
    return rows


def _as_known(now: RaceAssumptions, points: list[SitePoint], start: date) -> RaceAssumptions:
    """``now`` with lead time and ramp as the timelines showed them at ``start``, and no limit of size."""
    leads, ramps = [], []
    for site in sites_known(points, start, with_plans=False):
        if site.first_power_years is None or site.begun_years is None:
            continue
        leads.append(site.first_power_years - site.begun_years)
        first = next(p for p in points if p.site == site.name and p.power_mw > 0)
        ramps.append(max((site.power_mw - first.power_mw) / max(-site.first_power_years, 1.0), 5.0))
    changed = dict(now.assumptions)
    for name, seen in (("lead_time", leads), ("site_ramp", ramps)):
        low, median, high = (float(v) for v in np.percentile(seen, [5, 50, 95]))
        changed[name] = Assumption(
            what=now.assumptions[name].what,
            low=[low],
            median=[median],
            high=[high],
            source=f"sites in the timelines on {start}",
            grade="D",
        )
    changed["site_size"] = now.assumptions["site_size"].model_copy(
        update={"low": [1e4], "median": [1e4], "high": [1e4]}
    )
    return now.model_copy(update={"assumptions": changed})
