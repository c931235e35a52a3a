"""Growth with momentum: what the last quarter sold carries over into the next year, with heavy tails that owners share.

The log of chips sold is a random walk with drift: the drift is its mean growth on record, a year's shock is Student's
t with ``TAILS`` degrees of freedom (a year of another regime comes about once in ten) and moves all owners at once.
Momentum is the carry-over of national accounts (OECD, Data and Metadata Reporting Handbook, ch. 5): sales of the next
year if each quarter grew at the drift from the last one, over those of the last year. Drift and scale come from sales
published before a date; the weight of the carry-over (1 of 0, 0.5, 1) and the least scale (0.3 of 0.15 to 0.4) were
chosen by the quantile loss on origins in even years; backtest.py reports odd years apart. Legend of shapes: R
replicates, O owners, Y years.
"""

import csv
from dataclasses import dataclass
from datetime import date

import numpy as np

from kolossos.race.assumptions import DAYS_PER_YEAR, TABLES
from kolossos.race.draws import Array
from kolossos.streams import named_generator

LEAST_SCALE = 0.3
"""Scale of the shocks where little is known yet, and the least at any date."""
TAILS = 4.0
TOGETHER = 0.5
"""Share of a shock's variance that all owners have in common: they buy from the same makers in the same boom."""
BETTER_PER_YEAR = 1.34
"""H100 equivalents for a dollar, times the year before (assumptions.toml, price_performance)."""
MOST = float(np.log(10))
"""No year multiplies or divides what is bought by more than ten."""
QUARTERS = 4


@dataclass(frozen=True)
class Momentum:
    """What sales published by a date say: log growth of the next year (carry-over and drift), drift, scale of shocks.

    ``drift_error`` is the standard error of the drift: the scale of shocks over the root of the years on record.
    ``stock_growth`` is the growth of all chips ever sold (in H100 equivalents) over the last year.
    """

    next_year: float
    mean: float
    scale: float
    drift_error: float
    stock_growth: float

    def log_growth(self, seed: int, replicates: int, owners: int, years: int) -> Array:
        """Log growth of what each owner adds, in dollars, year on year, [R, O, Y]."""
        drift_R1 = named_generator(seed, "momentum drift").standard_normal((replicates, 1)) * self.drift_error
        common, own = (named_generator(seed, f"momentum {name}") for name in ("common", "own"))
        grown = []
        for year in range(years):
            normal = np.sqrt(TOGETHER) * common.standard_normal((replicates, 1))
            normal = normal + np.sqrt(1 - TOGETHER) * own.standard_normal((replicates, owners))
            regime = np.sqrt(common.chisquare(TAILS, (replicates, 1)) / TAILS)
            drift = self.mean if year else self.next_year
            grown.append(np.clip(drift + drift_R1 + self.scale * normal / regime, -MOST, MOST))
        return np.stack(grown, axis=2)


@dataclass(frozen=True)
class Sales:
    """Sales of the four quarters up to ``end`` and of the last of them, known on ``published``, in million USD."""

    end: date
    published: date
    million_usd: float
    quarter_million_usd: float


def load_sales() -> list[Sales]:
    """The sums of four quarters in a row, one a quarter."""
    with open(TABLES / "sales.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    values = [float(row["million_usd"]) for row in rows]
    return [
        Sales(
            date.fromisoformat(row["quarter_end"]),
            date.fromisoformat(row["published"]),
            sum(values[i - QUARTERS + 1 : i + 1]),
            values[i],
        )
        for i, row in enumerate(rows)
        if i >= QUARTERS - 1
    ]


def momentum_at(day: date, sales: list[Sales]) -> Momentum:
    """What was known on ``day``; later rows of ``sales`` play no part."""
    known = [row for row in sales if row.published <= day]
    missed = [
        np.log(known[i + QUARTERS].million_usd / known[i].million_usd) - _foreseen(known[: i + 1])[0]
        for i in range(QUARTERS, len(known) - QUARTERS)
    ]
    scale = float(np.sqrt(np.mean(np.square(missed)))) if missed else LEAST_SCALE
    stock = _ever_sold(known)
    scale = max(scale, LEAST_SCALE)
    drift_error = scale / float(np.sqrt(len(known) / QUARTERS))
    return Momentum(*_foreseen(known), scale, drift_error, float(stock[-1] / stock[-1 - QUARTERS]))


def _foreseen(known: list[Sales]) -> tuple[float, float]:
    """Log growth of the next four quarters over the last four, and the drift (log growth a year on record)."""
    drift = float(np.log(known[-1].million_usd / known[0].million_usd) / ((len(known) - 1) / QUARTERS))
    run_rate = known[-1].quarter_million_usd * np.exp(drift * np.arange(1, QUARTERS + 1) / QUARTERS)
    return float(np.log(run_rate.sum() / known[-1].million_usd)), drift


def _ever_sold(known: list[Sales]) -> Array:
    """All chips ever sold, in H100 equivalents up to a factor, at each row."""
    years = np.array([(row.end - known[0].end).days / DAYS_PER_YEAR for row in known])
    sold = np.array([row.quarter_million_usd for row in known]) * BETTER_PER_YEAR**years
    return np.cumsum(sold)
