"""How much to bet: a fraction of Kelly's stake on a slice of one's wealth, less what one holds already.

A log-utility bettor with a slice w set aside for a market holds x units of yes (less those of no) such that, for stakes
that are small beside w, x = w (logit p - logit q): p its forecast, q the price (Kelly 1956, to first order). A fraction
f of it is x = f w (logit p - logit q). Against a scoring rule of liquidity b a purchase of u units lifts logit q by
u / b (Hanson 2003), so from a holding x one buys

    u = (f w (logit p - logit q) - x) / (1 + f w / b)

and many such bettors end at logit q = (b logit q0 + sum f w_i logit p_i) / (b + sum f w_i): their log odds, weighted by
wealth (Chen and Pennock, UAI 2007). What can be lost in one market is capped at the slice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from kolossos.errors import InputError

LEAST = 1e-4  # forecasts are kept this far from 0 and 1


@dataclass(frozen=True)
class Staking:
    """A bot's habits: which fraction of Kelly's stake, on which share of its wealth."""

    fraction: float = 0.25
    slice: float = 0.005

    def __post_init__(self) -> None:
        if not (0 < self.fraction <= 1 and 0 < self.slice <= 1):
            raise InputError("a bot's fraction and slice are above 0 and at most 1")


def log_odds_of(forecast: float) -> float:
    """The log odds of a forecast that is kept away from 0 and 1."""
    p = min(max(forecast, LEAST), 1 - LEAST)
    return math.log(p / (1 - p))


def resting_log_odds(opening: float, b: float, forecasts: Sequence[float], stakes: Sequence[float]) -> float:
    """Log odds of the price at which none of these bettors wants to trade any more.

    Args:
        opening: log odds at which the market opened. b: its liquidity.
        forecasts: log odds of each bettor. stakes: f w of each (micro-credits).
    """
    total = b * opening + sum(map(mul, stakes, forecasts))
    return total / (b + sum(stakes))


def bet(forecast: float, price: float, stake: float, holds: float, b: float = 0.0) -> int:
    """Units of yes to buy; negative: of no (micro-credits throughout).

    Args:
        forecast, price: log odds of yes; the price as it is, or as it is expected to come to rest.
        stake: f w. holds: units of yes less those of no.
        b: liquidity, where one's own purchase moves the price; 0 where ``price`` is where it comes to rest.
    """
    if stake <= 0:
        return 0
    return int((stake * (forecast - price) - holds) / (1 + (stake / b if b else 0.0)))


def affordable(units: int, price: float, b: float, left: float) -> int:
    """As many of ``units`` (of a side at ``price`` q) as cost at most ``left``: b ln(1 - q + q exp(u / b)) <= left."""
    if left <= 0:
        return 0
    if left > 30 * b:
        return min(units, int(left))
    return min(units, int(b * math.log1p(math.expm1(left / b) / price)))
