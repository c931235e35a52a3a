"""The race in numbers: bands for each owner and year, what binds, what drives the spread; as JSON and as a table."""

from typing import Any

import numpy as np

from kolossos.race.assumptions import PER_YEAR, RaceAssumptions
from kolossos.race.backtest import Comparison, coverage
from kolossos.race.draws import Array
from kolossos.race.years import LIMITS, Race

PERCENTILES = (5, 50, 95)
UNITS = {
    "h100_equivalents": "H100 equivalents (989e12 dense bf16 FLOP/s each), end of the year",
    "power_mw": "MW of facility power drawn, end of the year",
    "flops_per_s": "dense bf16 peak, FLOP/s, end of the year",
    "training_flops": "FLOPs that the fleet's training share can do in the year, at the assumed MFU and availability",
    "spent_usd": "USD for what was added in the year (hardware and site)",
    "binding": "share of replicates in which this limit held the year's additions down",
}
UNIT_OF = {
    "usd_per_h100e": " USD", "fleet_watts": " W/H100e", "new_watts": " W/H100e", "lead_time": " years",
    "site_ramp": " MW/year", "site_delay": " years", "momentum_half_life": " years", "world_power": " GW/year",
}  # fmt: skip
NOT_MODELLED = (
    "no financing crisis, war or export rule beyond the bands; one grid limit for the world, none for a region; "
    "money not spent in a year is lost, power not used stays; owners hold chips, and rent them to others"
)


def summarise(race: Race, assumptions: RaceAssumptions, seed: int, backtested: list[Comparison]) -> dict[str, Any]:
    """Everything that `kolossos race --json` prints."""
    return {
        "kind": "estimate",
        "start": assumptions.start.isoformat(),
        "seed": seed,
        "replicates": int(race.stock_ROY.shape[0]),
        "percentiles": list(PERCENTILES),
        "units": UNITS,
        "not_modelled": NOT_MODELLED,
        "owners": [_owner(race, i) for i in range(len(race.owners))],
        "world": _years(race, slice(None)),
        "drivers_of_world_stock": drivers(race),
        "assumptions": {
            name: {
                "what": a.what,
                "p5": _one(a.low),
                "p50": _one(a.median),
                "p95": _one(a.high),
                "source": a.source,
                "grade": a.grade,
            }
            for name, a in assumptions.assumptions.items()
        },
        "starting_stock": {
            name: {"h100_equivalents": owner.h100_equivalents, "source": owner.source, "grade": owner.grade}
            for name, owner in assumptions.owners.items()
        },
        "certainty": assumptions.certainty,
        "backtest": {"summary": coverage(backtested), "comparisons": [_comparison(row) for row in backtested]},
    }


def drivers(race: Race) -> dict[str, float]:
    """Rank correlation (Spearman) of each drawn world-wide assumption with the last year's stock of all owners."""
    outcome = race.stock_ROY[:, :, -1].sum(axis=1)
    found = {name: _rank_correlation(values, outcome) for name, values in race.drawn.items()}
    kept = {name: value for name, value in found.items() if abs(value) >= 0.1}
    return {name: _short(kept[name]) for name in sorted(kept, key=lambda n: -abs(kept[n]))}


def _rank_correlation(x: Array, y: Array) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (x, y)]
    if len(x) < 2:
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _owner(race: Race, owner: int) -> dict[str, Any]:
    return {"owner": race.owners[owner], "years": _years(race, slice(owner, owner + 1))}


def _years(race: Race, owners: slice) -> list[dict[str, Any]]:
    rows = []
    for y, year in enumerate(race.years):
        row: dict[str, Any] = {
            "year": year,
            "h100_equivalents": _band(race.stock_ROY[:, owners, y]),
            "power_mw": _band(race.power_ROY[:, owners, y]),
            "flops_per_s": _band(race.flops_per_s_ROY[:, owners, y]),
        }
        if y:
            limits = race.limit_ROY[:, owners, y - 1]
            row["training_flops"] = _band(race.training_flops_ROY[:, owners, y - 1])
            row["spent_usd"] = _band(race.usd_ROY[:, owners, y - 1])
            row["binding"] = {name: _short(float(np.mean(limits == k))) for k, name in enumerate(LIMITS)}
        rows.append(row)
    return rows


def _band(values_RO: Array) -> dict[str, float]:
    points = np.percentile(values_RO.sum(axis=1), PERCENTILES)
    return {f"p{p}": _short(float(v)) for p, v in zip(PERCENTILES, points, strict=True)}


def _one(values: list[float]) -> float | list[float]:
    return values[0] if len(values) == 1 else values


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _comparison(row: Comparison) -> dict[str, Any]:
    return {
        "test": row.test,
        "start": row.start.isoformat(),
        "end": row.end.isoformat(),
        "what": row.what,
        "unit": row.unit,
        "p5": _short(row.low),
        "p50": _short(row.median),
        "p95": _short(row.high),
        "actual": _short(row.actual),
        "covered": row.covered,
        "constants_chosen_on_it": row.tuned,
        "relative_error_of_median": None if row.error is None else _short(row.error),
    }


def binding_word(binding: dict[str, float]) -> str:
    """The limit that binds most often, with its share: ``money 55 %``."""
    name = max(binding, key=lambda key: binding[key])
    return f"{name} {binding[name]:.0%}".replace("%", " %")


def assumption_lines(assumptions: RaceAssumptions) -> list[str]:
    """One line an assumption: name, 5 / 50 / 95 % points (of the first year where they differ), grade."""
    lines = []
    for name, a in assumptions.assumptions.items():
        low, median, high = a.points()
        first = " (1st year)" if name in PER_YEAR else ""
        lines.append(f"{name}{first}  {low:,g} / {median:,g} / {high:,g}{UNIT_OF.get(name, '')}  [{a.grade}]")
    return lines
