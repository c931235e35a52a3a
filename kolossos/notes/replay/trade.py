"""The markets of a replay, in memory: one a note, opened at the base rate, all bots at every rating.

Between two ratings the bots would trade until nobody wants to any more; that state is known in closed form, so each
makes one trade towards it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kolossos.notes.bots.stake import Staking, bet, limits, log_odds_of, resting_log_odds
from kolossos.notes.market.lmsr import Lmsr

RATE = 1_000_000
LEAST_TRADE = 0.02  # of a stake: a difference in log odds that nobody bothers about


@dataclass(frozen=True)
class Traded:
    """What the markets did. ``price_E``: each event's price after the bots have traded on it."""

    price_E: np.ndarray
    trades: int
    wealth_B: np.ndarray  # micro-credits at the end, all settled
    subsidy: int  # micro-credits that the makers lost on settled markets
    bound: int  # the most that they could have lost
    settled: int


def trade(
    note_E: np.ndarray,
    log_odds_EB: np.ndarray,
    base_rate: float,
    outcome_N: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
    *,
    b: int = 1_000_000,
    wealth: int = 10_000_000_000,
    stakings: Sequence[Staking] | None = None,
) -> Traded:
    """Let the bots trade on events in time order.

    Args:
        note_E, log_odds_EB: each event's note and each bot's forecast right after it.
        base_rate: the markets' opening price.
        outcome_N: 1 or 0 where a note's question is answered, NaN where it is void (everybody gets back what they
            paid).
        ends: for each event, and for the end, the notes whose answer is known by then: (first index into the second
            array, notes), so that winners can bet what they won.
        b, wealth: liquidity of each market, and what each bot begins with (micro-credits).
    """
    bots = log_odds_EB.shape[1]
    habits = list(stakings or [Staking()] * bots)
    money, locked = [wealth] * bots, [0] * bots
    forecast_EB = np.clip(log_odds_EB, -log_odds_of(1.0), log_odds_of(1.0)).tolist()
    yes = min(max(round(base_rate * RATE), 1_000), RATE - 1_000)
    opening = math.log(yes / (RATE - yes))
    books: dict[int, _Book] = {}
    price_E = np.empty(len(note_E))
    counts = [0, 0, 0, 0]  # trades, subsidy, bound, settled
    first_E, due = ends[0].tolist(), ends[1].tolist()
    done = 0
    for e, note in enumerate(note_E.tolist()):
        while done < first_E[e]:
            _settle(books.pop(due[done], None), float(outcome_N[due[done]]), (money, locked), counts)
            done += 1
        book = books.get(note)
        if book is None:
            book = books[note] = _Book(Lmsr(b, [yes, RATE - yes]), bots)
            book.slices = [int((m + k) * s.slice) for m, k, s in zip(money, locked, habits, strict=True)]
            book.stakes = [w * s.fraction for w, s in zip(book.slices, habits, strict=True)]
        market, forecasts = book.market, forecast_EB[e]
        bounds = [
            limits(min(w - paid, m), *units)
            for w, paid, m, units in zip(book.slices, book.paid, money, book.units, strict=True)
        ]
        rests = resting_log_odds(opening, b, forecasts, book.stakes, bounds)
        for k in range(bots):
            i = (k + e) % bots  # nobody is always first
            units_i = book.units[i]
            wish = bet(forecasts[i], rests, book.stakes[i], units_i[0] - units_i[1], bounds[i])
            if abs(wish) < LEAST_TRADE * book.stakes[i]:
                continue
            outcome, units = (0, wish) if wish > 0 else (1, -wish)
            if units:
                move = market.buy(outcome, units)
                pairs = min(units_i[1 - outcome], units_i[outcome] + units)  # given back for a micro-credit each
                if move.amount - pairs <= money[i]:
                    market.apply(move)
                    market.add_sets(-pairs)
                    money[i] -= move.amount - pairs
                    book.paid[i] += move.amount - pairs
                    locked[i] += move.amount - pairs
                    units_i[outcome] += units - pairs
                    units_i[1 - outcome] -= pairs
                    counts[0] += 1
        price_E[e] = market.price(0)
    for note, book in list(books.items()):
        _settle(book, float(outcome_N[note]), (money, locked), counts)
    return Traded(price_E, counts[0], np.array(money), counts[1], counts[2], counts[3])


class _Book:
    def __init__(self, market: Lmsr, bots: int) -> None:
        self.market = market
        self.fund = market.funding()
        self.paid = [0] * bots
        self.units = [[0, 0] for _ in range(bots)]
        self.slices, self.stakes = [0] * bots, [0.0] * bots


def _settle(book: "_Book | None", outcome: float, purses: tuple[list[int], list[int]], counts: list[int]) -> None:
    if book is None:
        return
    money, locked = purses
    for i, paid in enumerate(book.paid):
        locked[i] -= paid
    if np.isnan(outcome):
        for i, paid in enumerate(book.paid):
            money[i] += paid
        return
    side = 0 if outcome else 1
    paid_out = 0
    for i, units in enumerate(book.units):
        money[i] += units[side]
        paid_out += units[side]
    counts[1] += paid_out - sum(book.paid)
    counts[2] += book.fund
    counts[3] += 1
