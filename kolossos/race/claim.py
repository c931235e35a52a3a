"""A claim about the race, such as ``xAI > all others``: how likely, from which year, and what it would take.

A side is a sum of owners (``Google + Meta``), ``all others`` (the sum of those not named on the other side),
``every other`` (the largest of them), ``world``, or a number: H100 equivalents (``50M``) or power (``2 GW``).
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kolossos.errors import InputError, nearest
from kolossos.race.assumptions import RaceAssumptions, SitePoint
from kolossos.race.backtest import backtest, coverage
from kolossos.race.draws import Array
from kolossos.race.years import Race, run_race

DEFAULT_BY = 2030
MOST_YEARS = 20
SAID = (
    "say two sides and > or <, each a sum of owners (Google + Meta), 'all others', 'every other', 'world', "
    "or a number of H100 equivalents (50M) or of gigawatts (2 GW)"
)
FACTORS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}
NUMBER = re.compile(
    r"([0-9][0-9,_]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmb]?)\s*(gw|mw|h100e|h100 equivalents)?", re.IGNORECASE
)
RENTERS = {"openai": "Oracle and Microsoft", "anthropic": "Amazon and Google", "nvidia": "those it sells to"}
Rest = Literal["all others", "every other"]


@dataclass(frozen=True)
class Side:
    """One side: owners, the rest of them, or a number (of H100 equivalents, or of MW where ``megawatts``)."""

    text: str
    owners: tuple[str, ...] = ()
    rest: Rest | None = None
    number: float | None = None
    megawatts: bool = False


@dataclass(frozen=True)
class Claim:
    """That ``more`` is above ``less``; in MW of facility power where ``megawatts``, else in H100 equivalents."""

    text: str
    more: Side
    less: Side
    megawatts: bool


def parse_claim(text: str, owners: list[str]) -> Claim:
    """``text`` as a claim about ``owners``; an InputError of one line says what can be said."""
    parts = re.split(r"([<>])", text)
    if len(parts) != 3:
        raise InputError(f"{text!r}: {SAID}")
    left, right = _side(parts[0], owners, text), _side(parts[2], owners, text)
    for side, other in ((left, right), (right, left)):
        if side.rest and not other.owners:
            raise InputError(f"{text!r}: '{side.rest}' needs owners on the other side")
        if side.rest and set(other.owners) == set(owners):
            raise InputError(f"{text!r}: there is nobody besides {other.text}")
        for name in side.owners:
            if name in other.owners:
                raise InputError(f"{text!r}: {name} is on both sides")
    if left.number is not None and right.number is not None:
        raise InputError(f"{text!r}: two numbers say nothing about an owner; owners: {', '.join(owners)}")
    more, less = (left, right) if parts[1] == ">" else (right, left)
    return Claim(f"{more.text} > {less.text}", more, less, left.megawatts or right.megawatts)


def last_year(by: int | None, assumptions: RaceAssumptions) -> int:
    """The year that is asked for, within what can be looked at; InputError begins with it."""
    year, first = DEFAULT_BY if by is None else by, assumptions.start.year
    if not first < year <= first + MOST_YEARS:
        raise InputError(f"{year}: expected a year from {first + 1} to {first + MOST_YEARS}")
    return year


def answer_claim(
    claim: Claim, by: int, assumptions: RaceAssumptions, sites: list[SitePoint], seed: int, replicates: int
) -> dict[str, Any]:
    """Everything that ``kolossos race`` prints: the answer, what it rests on, how past forecasts did."""
    race = run_race(assumptions, sites, MOST_YEARS, seed, replicates)
    return {
        "kind": "estimate",
        "start": assumptions.start.isoformat(),
        "seed": seed,
        "replicates": replicates,
        **answer(claim, race, by),
        "backtest": coverage(backtest(sites, seed, replicates)),
    }


def answer(claim: Claim, race: Race, by: int) -> dict[str, Any]:
    """Odds at the end of each year, the year of even odds (None: not in the race), and what it would take ``by``."""
    values = race.power_ROY if claim.megawatts else race.stock_ROY
    more_RY = _value(claim.more, claim.less, race.owners, values)
    less_RY = _value(claim.less, claim.more, race.owners, values)
    odds = np.mean(more_RY > less_RY, axis=0)
    even = [year for year, p in zip(race.years, odds, strict=True) if p >= 0.5]
    at = race.years.index(by)
    return {
        "claim": claim.text,
        "by": by,
        "unit": "MW of facility power" if claim.megawatts else "H100 equivalents",
        "probability": round(float(odds[at]), 4),
        "even_odds_year": even[0] if even else None,
        "last_year_looked_at": race.years[-1],
        "probability_by_year": {str(year): round(float(p), 4) for year, p in zip(race.years, odds, strict=True)},
        "sides": {
            "more": {"what": claim.more.text, **_band(more_RY[:, at])},
            "less": {"what": claim.less.text, **_band(less_RY[:, at])},
        },
        "it_would_take": _needs(claim, race, less_RY[:, at], at) if claim.more.owners else None,
    }


def _needs(claim: Claim, race: Race, target_R: Array, at: int) -> dict[str, Any]:
    """What the owners of the larger side would have to add up to year ``at``: chips, GW of facility, USD.

    Each is taken at the race's own mix of years: chips of a later year take less power and money.
    """
    chosen = [race.owners.index(name) for name in claim.more.owners]
    usd_RY = race.usd_ROY[:, chosen, :at].sum(axis=1)
    price_RY = race.drawn["usd_per_h100e"][:, None] / race.drawn["price_performance"][:, None] ** np.arange(1, at + 1)
    added_RY = usd_RY / price_RY
    added_R = np.maximum(added_RY.sum(axis=1), 1e-9)
    watts_RY = race.drawn["new_watts"][:, None] / race.drawn["efficiency_gain"][:, None] ** np.arange(at)
    watts_R, price_R = ((added_RY * x).sum(axis=1) / added_R for x in (watts_RY, price_RY))
    values = race.power_ROY if claim.megawatts else race.stock_ROY
    kept_R = values[:, chosen, 0].sum(axis=1) * (1 - race.drawn["retirement"]) ** at
    missing_R = np.maximum(target_R - kept_R, 0.0)
    chips_R = missing_R * 1e6 / watts_R if claim.megawatts else missing_R
    return {
        "what": f"to be added by {claim.more.text} to the end of {race.years[at]}",
        "h100_equivalents": _band(chips_R),
        "gw": _band(chips_R * watts_R / 1e9),
        "usd": _band(chips_R * price_R),
        "times_what_is_foreseen": _band(chips_R / added_R),
    }


def _side(text: str, owners: list[str], claim: str) -> Side:
    said = " ".join(text.split())
    if not said:
        raise InputError(f"{claim!r}: one side is empty; {SAID}")
    for rest in ("all others", "every other"):
        if said.lower() == rest:
            return Side(said.lower(), rest=rest)
    if number := NUMBER.fullmatch(said):
        value = float(number[1].replace(",", "").replace("_", "")) * FACTORS[number[2].lower()]
        unit = (number[3] or "").lower()
        if unit == "gw":
            value *= 1e3
        if value <= 0:
            raise InputError(f"{claim!r}: expected a number above 0, not {said}")
        return Side(said, number=value, megawatts=unit in ("gw", "mw"))
    if said.lower() == "world":
        return Side("world", owners=tuple(owners))
    names = tuple(_owner(part.strip(), owners, claim) for part in said.split("+"))
    if len(set(names)) < len(names):
        raise InputError(f"{claim!r}: an owner is named twice in '{said}'")
    return Side(" + ".join(names), owners=names)


def _owner(name: str, owners: list[str], claim: str) -> str:
    found = {owner.lower(): owner for owner in owners}
    if name.lower() in found:
        return found[name.lower()]
    if name.lower() in RENTERS:
        raise InputError(f"{claim!r}: {name} owns no chips here, they count with {RENTERS[name.lower()]}")
    known = ", ".join(owners)
    raise InputError(f"{claim!r}: no owner '{name}'{nearest(name, owners)}; owners: {known}; {SAID}")


def _value(side: Side, other: Side, owners: list[str], values_ROY: Array) -> Array:
    if side.number is not None:
        return np.full((values_ROY.shape[0], values_ROY.shape[2]), side.number)
    if side.rest is None:
        return values_ROY[:, [owners.index(name) for name in side.owners]].sum(axis=1)
    others = values_ROY[:, [i for i, name in enumerate(owners) if name not in other.owners]]
    return others.sum(axis=1) if side.rest == "all others" else others.max(axis=1)


def _band(values_R: Array) -> dict[str, float]:
    return {f"p{p}": float(f"{np.percentile(values_R, p):.6g}") for p in (5, 50, 95)}
