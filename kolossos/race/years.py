"""The compute race: what each owner of AI chips can add a year, limited by money, chips, power and build time.

Monte Carlo over stated assumptions (assumptions.py). A year's additions are the least of what the money buys,
what the chip makers allot, and what the power that has come on line carries; each of these limits gives way to the
trend of chips sold (momentum.py), much in the first year and less in each one after. Legend of shapes: R replicates,
O owners, Y years.
"""

from dataclasses import dataclass

import numpy as np

from kolossos.race.assumptions import DAYS_PER_YEAR, RaceAssumptions, SitePoint
from kolossos.race.draws import Array, Draws, spread
from kolossos.race.momentum import load_sales, momentum_at
from kolossos.race.sites import planned_power, sites_known
from kolossos.specs.catalogue import load_gpu

LIMITS = ("money", "chips", "power", "build time")


@dataclass
class Race:
    """The outcome. ``stock_ROY`` in H100 equivalents, ``power_ROY`` in MW drawn (facility); year 0 is the start.

    ``drawn`` are the draws [R] that all owners share, or their means over owners and years.
    ``limit_ROY`` holds indices into LIMITS, for years 1 on; ``training_flops_ROY`` is what the year's mean stock
    can train, ``usd_ROY`` what the additions of the year cost.
    """

    owners: list[str]
    years: list[int]
    stock_ROY: Array
    power_ROY: Array
    flops_per_s_ROY: Array
    training_flops_ROY: Array
    usd_ROY: Array
    limit_ROY: np.ndarray
    drawn: dict[str, Array]


def run_race(assumptions: RaceAssumptions, sites: list[SitePoint], years: int, seed: int, replicates: int) -> Race:
    """Play the race ``replicates`` times over ``years`` years after ``assumptions.start``."""
    draws = Draws(assumptions, seed, replicates)
    names, owners = list(assumptions.owners), list(assumptions.owners.values())
    drawn = _scalars(draws)
    stock0_RO = draws.draw("stock_error", len(names)) * np.array([owner.h100_equivalents for owner in owners])
    added0_RO = stock0_RO * (1 - 1 / _growth_last_year(draws, drawn["stock_growth"]))
    spend_ROY = _spend(draws, years)
    watts_RY = drawn["new_watts"][:, None] / drawn["efficiency_gain"][:, None] ** np.arange(years)
    money_ROY = added0_RO[:, :, None] * spend_ROY * drawn["price_performance"][:, None, None] ** np.arange(1, years + 1)
    supply_RY = np.cumprod(draws.draw_years("supply_growth", years), axis=1)
    weight_ROY = added0_RO[:, :, None] * spend_ROY * draws.draw("allocation", len(names))[:, :, None]
    built_mw0_RO = added0_RO * (drawn["new_watts"] * drawn["efficiency_gain"])[:, None] / 1e6
    built_mw0_RO *= draws.draw("build_capacity", len(names))
    grown_ROY, at_once_ROY = _power_growth(draws, names, sites, built_mw0_RO, spend_ROY)
    trend_ROY, share_RY = _trend(draws, added0_RO, drawn, years)
    trend_mw_ROY = trend_ROY * watts_RY[:, None, :] / 1e6
    drawn["trend"] = trend_ROY[:, :, -1].sum(axis=1)
    drawn["spend_growth"] = spend_ROY[:, :, -1].mean(axis=1)
    drawn["supply_growth"] = supply_RY[:, -1]
    drawn["world_power"] = draws.draw_years("world_power", years).mean(axis=1)
    drawn["lead_time"] = draws.draw("lead_time", len(names)).mean(axis=1)
    fleet = _Fleet(stock0_RO, drawn)
    for year in range(years):
        fleet.add_year(
            _pooled(money_ROY[:, :, year], trend_ROY[:, :, year], share_RY[:, year, None]),
            _pooled(supply_RY[:, year, None] * added0_RO, trend_ROY[:, :, year], share_RY[:, year, None]),
            weight_ROY[:, :, year],
            _pooled(grown_ROY[:, :, year], trend_mw_ROY[:, :, year], share_RY[:, year, None]),
            _pooled(at_once_ROY[:, :, year], trend_mw_ROY[:, :, year], share_RY[:, year, None]),
            watts_RY[:, year, None],
            [owner.pool for owner in owners],
        )
    return _outcome(names, assumptions.start.year, fleet, drawn)


class _Fleet:
    """State of all owners in all replicates, year by year."""

    def __init__(self, stock_RO: Array, drawn: dict[str, Array]):
        self.stay = 1 - drawn["retirement"][:, None]
        self.stock = [stock_RO]
        self.draw_mw = [stock_RO * drawn["fleet_watts"][:, None] / 1e6]
        self.supply_mw = self.draw_mw[0] * (1 + drawn["headroom"][:, None])
        self.supply_at_once_mw = self.supply_mw.copy()
        self.added: list[Array] = []
        self.limit: list[np.ndarray] = []

    def add_year(
        self,
        money: Array,
        supply: Array,
        weight: Array,
        grown_mw: Array,
        at_once_mw: Array,
        watts: Array,
        pools: list[str],
    ) -> None:
        """One year: all arguments are [R, O] but ``watts`` [R, 1]; chips in H100 equivalents."""
        self.supply_mw = self.supply_mw + grown_mw
        self.supply_at_once_mw = self.supply_at_once_mw + at_once_mw
        kept_mw = self.draw_mw[-1] * self.stay
        powered = np.clip(self.supply_mw - kept_mw, 0, None) / watts * 1e6
        powered_at_once = np.clip(self.supply_at_once_mw - kept_mw, 0, None) / watts * 1e6
        wanted = np.minimum(money, powered)
        added = np.zeros_like(wanted)
        for pool in sorted(set(pools)):
            members = [i for i, name in enumerate(pools) if name == pool]
            total = supply[:, members].sum(axis=1)
            added[:, members] = share_out(wanted[:, members], weight[:, members], total)
        short_of_power = np.where(powered_at_once >= money, 3, 2)  # with no lead time there would have been enough
        limit = np.where(added < wanted * (1 - 1e-9), 1, np.where(money <= powered, 0, short_of_power))
        self.stock.append(self.stock[-1] * self.stay + added)
        self.draw_mw.append(kept_mw + added * watts / 1e6)
        self.added.append(added)
        self.limit.append(limit)


def share_out(wanted: Array, weight: Array, total: Array) -> Array:
    """Divide ``total`` [R] among owners by ``weight`` [R, O], nobody above ``wanted`` [R, O]; the rest goes round.

    Exact water-filling: at most one round for each owner.
    """
    given = np.zeros_like(wanted)
    left = total.copy()
    for _ in range(wanted.shape[1]):
        open_weight = np.where(given < wanted, weight, 0.0)
        whole = open_weight.sum(axis=1)
        if not np.any((whole > 0) & (left > 0)):
            break
        offer = open_weight * np.divide(left, whole, out=np.zeros_like(left), where=whole > 0)[:, None]
        taken = np.minimum(offer, wanted - given)
        given = np.where(offer >= wanted - given, np.where(open_weight > 0, wanted, given), given + taken)
        left = np.maximum(total - given.sum(axis=1), 0.0)
    return given


def _scalars(draws: Draws) -> dict[str, Array]:
    names = (
        "momentum momentum_half_life stock_growth price_performance usd_per_h100e fleet_watts new_watts "
        "efficiency_gain headroom retirement training_share mfu availability"
    )
    drawn = {name: draws.draw(name) for name in names.split()}
    for name in ("momentum", "headroom", "retirement", "training_share", "mfu", "availability"):
        drawn[name] = np.minimum(drawn[name], 1.0)
    drawn["stock_growth"] = np.maximum(drawn["stock_growth"], 1.01)
    return drawn


def _growth_last_year(draws: Draws, world_R: Array) -> Array:
    """Growth of each owner's stock in the year before the start, [R, O]."""
    columns = []
    for name, owner in draws.assumptions.owners.items():
        if owner.stock_growth:
            normal = draws.stream(f"stock_growth {name}").standard_normal(draws.replicates)
            columns.append(np.maximum(spread(normal, owner.stock_growth), 1.01))
        else:
            columns.append(world_R)
    return np.stack(columns, axis=1)


def _trend(draws: Draws, added0_RO: Array, drawn: dict[str, Array], years: int) -> tuple[Array, Array]:
    """What each owner adds by the trend of chips sold up to the start [R, O, Y], and the share of the trend [R, Y]."""
    known = momentum_at(draws.assumptions.start, load_sales())
    log_growth = known.log_growth(draws.seed, draws.replicates, added0_RO.shape[1], years)
    better = np.log(drawn["price_performance"])
    for i, owner in enumerate(draws.assumptions.owners.values()):
        if owner.stock_growth:  # one that is known to grow at another rate than the world
            log_growth[:, i] += np.log(owner.stock_growth[1]) - known.mean - better.mean()
    cumulated = np.cumsum(log_growth, axis=2) + better[:, None, None] * np.arange(1, years + 1)
    faded = 0.5 ** (np.arange(years) / drawn["momentum_half_life"][:, None])
    return added0_RO[:, :, None] * np.exp(cumulated), drawn["momentum"][:, None] * faded


def _pooled(limit: Array, trend: Array, share: Array) -> Array:
    """The limit as it gives way to the trend: their geometric mean, with weight ``share`` of the trend."""
    return np.maximum(limit, 1e-9) ** (1 - share) * trend**share


def _spend(draws: Draws, years: int) -> Array:
    """Spending of each owner on AI over that of the year before the start, [R, O, Y]."""
    owners = draws.assumptions.owners
    growth = np.repeat(draws.draw_years("spend_growth", years)[:, None, :], len(owners), axis=1)
    for i, (name, owner) in enumerate(owners.items()):
        if owner.first_year_spend:
            normal = draws.stream(f"first_year_spend {name}").standard_normal(draws.replicates)
            growth[:, i, 0] = spread(normal, owner.first_year_spend)
    growth = growth * draws.draw_years("ai_share_growth", years)[:, None, :]
    growth = growth * draws.draw("owner_spend", len(owners), years)
    return np.cumprod(growth, axis=2)


def _power_growth(
    draws: Draws, names: list[str], points: list[SitePoint], built_mw0_RO: Array, spend_ROY: Array
) -> tuple[Array, Array]:
    """MW that come on line in each year, [R, O, Y]: as the lead times let it, and as if there were none.

    An owner builds what its spending one lead time ago would start, or what it has announced, whichever is more;
    all together no more than grids and generation give in a year (each owner then gets the same share of its wish).
    """
    years = spend_ROY.shape[2]
    lead_RO = draws.draw("lead_time", len(names))
    history = draws.assumptions.spend_history.values
    known = np.array(history) / history[-1]
    index_ROT = np.concatenate([np.broadcast_to(known, (*lead_RO.shape, len(known))), spend_ROY], axis=2)
    then = _at(index_ROT, len(known) - 1 - lead_RO)
    sites = sites_known(points, draws.assumptions.start)
    grid_mw_RY = draws.draw_years("world_power", years) * 1e3
    results = []
    for delayed in (True, False):
        lag = lead_RO if delayed else np.zeros_like(lead_RO)
        base = then if delayed else np.ones_like(lead_RO)
        own = [_at(index_ROT, len(known) + year - lag) / base * built_mw0_RO for year in range(years)]
        planned = np.diff(planned_power(sites, draws, years, delayed), axis=2)
        announced = np.stack(
            [planned[:, [i for i, s in enumerate(sites) if s.owner == name]].sum(axis=1) for name in names], axis=1
        )
        grown = np.maximum(np.stack(own, axis=2), announced)
        results.append(grown * np.minimum(1.0, grid_mw_RY / np.maximum(grown.sum(axis=1), 1e-9))[:, None])
    return results[0], results[1]


def _at(index_ROT: Array, when_RO: Array) -> Array:
    """Values along the last axis at fractional positions, linear between years, the ends held."""
    position = np.clip(when_RO, 0, index_ROT.shape[2] - 1)
    below = np.minimum(position.astype(int), max(index_ROT.shape[2] - 2, 0))
    above = np.minimum(below + 1, index_ROT.shape[2] - 1)
    part = position - below
    first = np.take_along_axis(index_ROT, below[:, :, None], axis=2)[:, :, 0]
    second = np.take_along_axis(index_ROT, above[:, :, None], axis=2)[:, :, 0]
    return first * (1 - part) + second * part


def _outcome(names: list[str], start_year: int, fleet: _Fleet, drawn: dict[str, Array]) -> Race:
    stock = np.stack(fleet.stock, axis=2)
    years = stock.shape[2] - 1
    peak = load_gpu("h100").peak("bf16")
    useful = drawn["training_share"] * drawn["mfu"] * drawn["availability"]
    mean_stock = (stock[:, :, 1:] + stock[:, :, :-1]) / 2
    cost_RY = drawn["usd_per_h100e"][:, None] / drawn["price_performance"][:, None] ** np.arange(1, years + 1)
    return Race(
        owners=names,
        years=[start_year + year for year in range(years + 1)],
        stock_ROY=stock,
        power_ROY=np.stack(fleet.draw_mw, axis=2),
        flops_per_s_ROY=stock * peak,
        training_flops_ROY=mean_stock * useful[:, None, None] * peak * DAYS_PER_YEAR * 86400,
        usd_ROY=np.stack(fleet.added, axis=2) * cost_RY[:, None, :],
        limit_ROY=np.stack(fleet.limit, axis=2),
        drawn=drawn,
    )
