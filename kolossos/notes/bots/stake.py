"""How much to bet: a fraction of Kelly's stake on a slice of one's wealth, less what one holds already.

A log-utility bettor with a slice w set aside for a market holds x units of yes (less those of no) such that, for stakes
that are small beside w, x = w (logit p - logit q): p its forecast, q the price (Kelly 1956, to first order). A fraction
f of it is x = f w (logit p - logit q). Against a scoring rule of liquidity b a purchase of u units lifts logit q by
u / b (Hanson 2003), so from a holding x one buys

    u = (f w (logit p - logit q) - x) / (1 + f w / b)

and many such bettors end at logit q = (b logit q0 + sum f w_i logit p_i) / (b + sum f w_i): their log odds, weighted by
wealth (Chen and Pennock, UAI 2007), as long as none of them is at its cap: what can be lost in one market is the slice.
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


def limits(slice_left: float, holds_yes: int, holds_no: int) -> tuple[float, float]:
    """The least and the largest net holding (units of yes less those of no) that ``slice_left`` micro-credits allow: a
    unit costs a micro-credit at most, and one of the other side that is given back with it pays for it."""
    free = max(slice_left - 8, 0.0)  # charges are rounded up, a few times
    return -(holds_no + free), holds_yes + free


def resting_log_odds(
    opening: float,
    b: float,
    forecasts: Sequence[float],
    stakes: Sequence[float],
    bounds: Sequence[tuple[float, float]],
) -> float:
    """Log odds of the price at which none of these bettors wants to trade any more, or can.

    Args:
        opening: log odds at which the market opened. b: its liquidity.
        forecasts: log odds of each bettor. stakes: f w of each (micro-credits). bounds: `limits` of each.
    """
    rests = (b * opening + sum(map(mul, stakes, forecasts))) / (b + sum(stakes))
    for forecast, stake, (low, high) in zip(forecasts, stakes, bounds, strict=True):
        if not low <= stake * (forecast - rests) <= high:
            break
    else:
        return rests

    def excess(at: float) -> float:  # falls with the price
        wanted = b * (opening - at)
        for forecast, stake, (low, high) in zip(forecasts, stakes, bounds, strict=True):
            wanted += min(max(stake * (forecast - at), low), high)
        return wanted

    down, up = min(opening, *forecasts), max(opening, *forecasts)
    for _ in range(40):
        middle = (down + up) / 2
        down, up = (middle, up) if excess(middle) > 0 else (down, middle)
    return (down + up) / 2


def bet(forecast: float, rests: float, stake: float, holds: int, bounds: tuple[float, float]) -> int:
    """Units of yes to buy; negative: of no (micro-credits throughout).

    Args:
        forecast: log odds of yes. rests: log odds of the price where it comes to rest.
        stake: f w. holds: units of yes less those of no. bounds: `limits`.
    """
    return int(min(max(stake * (forecast - rests), bounds[0]), bounds[1]) - holds)
