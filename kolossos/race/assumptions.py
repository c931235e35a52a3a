"""What the compute race assumes: each assumption with its 5, 50 and 95 % points, its source and grade."""

import csv
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PositiveFloat, field_validator, model_validator

from kolossos.errors import InputError, nearest
from kolossos.specs.strict import Spec, read_toml

TABLES = Path(__file__).parent / "tables"
PER_YEAR = ("spend_growth", "ai_share_growth", "supply_growth", "world_power")
SHARES = ("allocation", "headroom", "retirement", "training_share", "mfu", "availability")
DAYS_PER_YEAR = 365.25


class Assumption(Spec):
    """A positive uncertain quantity; ``low``, ``median`` and ``high`` are its 5, 50 and 95 % points, year by year.

    One number serves all years; of a list, the last one goes on.
    """

    what: str
    low: list[PositiveFloat] = Field(min_length=1)
    median: list[PositiveFloat] = Field(min_length=1)
    high: list[PositiveFloat] = Field(min_length=1)
    source: str
    grade: Literal["P", "A", "S", "D"]

    @field_validator("low", "median", "high", mode="before")
    @classmethod
    def _floats(cls, value: Any) -> Any:
        return [_float(v) for v in value] if isinstance(value, list) else [_float(value)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not len(self.low) == len(self.median) == len(self.high):
            raise ValueError("low, median and high need the same number of years")
        for low, median, high in map(self.points, range(self.n_years)):
            if not low <= median <= high:
                raise ValueError(f"low = {low:g}, median = {median:g}, high = {high:g} are not in this order")
        return self

    @property
    def n_years(self) -> int:
        """Number of years with values of their own (1 where one value serves all)."""
        return len(self.median)

    def points(self, year: int = 0) -> tuple[float, float, float]:
        """The 5, 50 and 95 % points in ``year`` after the start (0 is the first); the last one goes on."""
        at = min(year, len(self.median) - 1)
        return self.low[at], self.median[at], self.high[at]


class Owner(Spec):
    """Who holds chips: the stock at the start, and what is known of this owner alone."""

    h100_equivalents: PositiveFloat
    first_year_spend: list[PositiveFloat] | None = Field(default=None, min_length=3, max_length=3)
    stock_growth: list[PositiveFloat] | None = Field(default=None, min_length=3, max_length=3)
    pool: str = Field(default="world", description="owners of one pool share its supply of chips")
    source: str
    grade: Literal["P", "A", "S", "D"]

    @field_validator("h100_equivalents", "first_year_spend", "stock_growth", mode="before")
    @classmethod
    def _floats(cls, value: Any) -> Any:
        return [_float(v) for v in value] if isinstance(value, list) else _float(value)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("first_year_spend", "stock_growth"):
            points = getattr(self, key)
            if points and sorted(points) != points:
                raise ValueError(f"{key} = {points}: expected low, median and high in this order")
        if self.stock_growth and self.stock_growth[0] <= 1:
            raise ValueError(f"stock_growth = {self.stock_growth}: the low end must be above 1")
        return self


class SpendHistory(Spec):
    """Spending up to the start, one value a year, the last being 1."""

    values: list[PositiveFloat] = Field(min_length=1)
    source: str
    grade: Literal["P", "A", "S", "D"]


class RaceAssumptions(Spec):
    """All that `kolossos race` assumes."""

    start: date
    spend_history: SpendHistory
    certainty: dict[str, float]
    assumptions: dict[str, Assumption]
    owners: dict[str, Owner] = Field(min_length=1)

    @field_validator("certainty", mode="before")
    @classmethod
    def _floats(cls, value: Any) -> Any:
        return {word: _float(share) for word, share in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for word, share in self.certainty.items():
            if not 0 <= share <= 1:
                raise ValueError(f"certainty.{word} = {share:g} is not between 0 and 1")
        for name in SHARES[1:]:
            if max(self.assumptions[name].points(y)[2] for y in range(self.assumptions[name].n_years)) > 1:
                raise ValueError(f"assumptions.{name}.high is above 1, and it is a share")
        if self.assumptions["stock_growth"].points()[0] <= 1:
            raise ValueError("assumptions.stock_growth.low must be above 1")
        for name, assumption in self.assumptions.items():
            if assumption.n_years > 1 and name not in PER_YEAR:
                raise ValueError(f"assumptions.{name} takes one value, not one a year")
        return self


@dataclass(frozen=True)
class SitePoint:
    """A site at one date (None: announced without a date), in MW of facility power."""

    site: str
    owner: str
    date: date | None
    power_mw: float
    h100_equivalents: float | None
    certainty: str


def load_assumptions(changes: Path | None = None) -> RaceAssumptions:
    """The project's assumptions, with the values of a user's TOML file in place of some of them."""
    path = TABLES / "assumptions.toml"
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    where = str(path.name)
    if changes is not None:
        where = str(changes)
        _merge(values, read_toml(changes), where)
    return RaceAssumptions.parse(values, where)


def load_sites() -> list[SitePoint]:
    """All rows of the table of sites, in its order."""
    points = []
    with open(TABLES / "sites.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            day = date.fromisoformat(row["date"]) if row["date"] else None
            h100e = float(row["h100_equivalents"]) if row["h100_equivalents"] else None
            points.append(SitePoint(row["site"], row["owner"], day, float(row["power_mw"]), h100e, row["certainty"]))
    return points


def years_after(start: date, day: date) -> float:
    """Years from ``start`` to ``day`` (negative before it)."""
    return (day - start).days / DAYS_PER_YEAR


def _merge(values: dict[str, Any], changes: dict[str, Any], where: str, path: str = "") -> None:
    """Put ``changes`` into ``values``, key by key; new names only for owners, and for what is said of one."""
    for key, value in changes.items():
        if key not in values and not path.startswith("owners."):
            raise InputError(f"{where}: unknown key '{path}{key}'{nearest(key, values)}")
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value, where, f"{path}{key}.")
        else:
            values[key] = value


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
