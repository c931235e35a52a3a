"""The logarithmic market scoring rule (Hanson 2003, 2007) in whole numbers.

    C(q) = b ln( sum_i w_i exp(q_i / b) / sum_i w_i ),  C(0) = 0,  price_i = w_i exp(q_i / b) / sum

b and q are micro-credits and units of shares, the weights w are the opening prices. One market covers two outcomes (a
note) or many (the candidate notes of a post and "none").

**Why the maker never loses more than its funding, to the last unit.** Let T be the credits in the market's escrow that
are nobody's yet, and B = ceil(max_i b ln(sum w / w_i)). The market is opened with T = B. A trade changes T by at least
C(q') - C(q): charges are rounded up from an upper bound of that difference, proceeds down from a lower bound. So
T >= B + C(q) holds from trade to trade. And C(q) >= b ln(w_i exp(q_i / b) / sum w) = q_i - b ln(sum w / w_i) >= q_i - B
for every outcome i, hence T >= q_i: whatever comes true can be paid. The bounds are those of `fixed_point`: no float
takes part in what anybody pays.

A complete set (one unit of every outcome) is worth one micro-credit whatever happens. Such sets are counted beside the
curve (``sets``), so that betting against one of twenty notes moves one number, not nineteen; outcome i owes sets + q_i.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from kolossos.errors import InputError
from kolossos.notes.market.amounts import LARGEST, PPM, whole
from kolossos.notes.market.fixed_point import BITS, LARGEST_ARGUMENT, exp_up, log_up

RESOLUTION = 10**6  # the weights given are multiplied by this, so that "none" can be split into shares of itself
ERROR = 1 << (BITS - 70)  # at least what a logarithm of the sum lies above the true one (fixed_point: 2**-70 + 2**-85)
MOST_OUTCOMES = 200


class Move(NamedTuple):
    """A trade that was computed and not yet made: it is valid until the market changes."""

    outcome: int
    sets: int
    amount: int  # micro-credits the trader pays; negative: receives
    quantity: int
    term: tuple[int, int]
    top: int
    total: int
    log: int


class Lmsr:
    """One market's curve: weights, units sold and what may still win. All figures are integers; see the module."""

    def __init__(
        self,
        b: int,
        weights: Sequence[int],
        quantities: Sequence[int] | None = None,
        sets: int = 0,
        withdrawn: Sequence[int] = (),
        whole_weight: int | None = None,
    ) -> None:
        """A new market of liquidity ``b`` (micro-credits) with opening prices in proportion to ``weights``; or, with
        the other arguments, one as `state` described it (its weights then carry their resolution already)."""
        if quantities is None:
            self.b = whole(b, "the liquidity b", 1, LARGEST)
            if not 2 <= len(weights) <= MOST_OUTCOMES:
                raise InputError(f"a market has 2 to {MOST_OUTCOMES} outcomes, not {len(weights)}")
            weights = [whole(w, "the weight of an outcome", 1, 10**12) * RESOLUTION for w in weights]
            quantities = [0] * len(weights)
        self.b, self.weights, self.quantities, self.sets = b, list(weights), list(quantities), sets
        self.withdrawn = set(withdrawn)
        self.whole_weight = sum(self.weights) if whole_weight is None else whole_weight
        self._terms = [self._term(w, q) for w, q in zip(self.weights, self.quantities, strict=True)]
        self._sum_up()

    def _term(self, weight: int, quantity: int) -> tuple[int, int]:
        mantissa, exponent = exp_up(quantity, self.b)
        return weight * mantissa, exponent

    def _sum_up(self) -> None:
        live = [t for i, t in enumerate(self._terms) if i not in self.withdrawn]
        self._top = max(exponent for _, exponent in live)
        self._total = sum(-(-m >> (self._top - e)) for m, e in live)
        self._log = self._log_of(self._total, self._top)

    def _log_of(self, total: int, top: int) -> int:
        return log_up(-(-total // self.whole_weight), top)

    def prices(self) -> list[float]:
        """The price of each outcome, in [0, 1]; they sum to 1. A withdrawn one has 0."""
        aligned = [0 if i in self.withdrawn else m >> (self._top - e) for i, (m, e) in enumerate(self._terms)]
        total = sum(aligned)
        return [a / total for a in aligned]

    def price(self, outcome: int) -> float:
        """The price of one outcome, in [0, 1]."""
        self._known(outcome)
        if outcome in self.withdrawn:
            return 0.0
        mantissa, exponent = self._terms[outcome]
        return min((mantissa >> (self._top - exponent)) / self._total, 1.0)

    def prices_ppm(self) -> list[int]:
        """The prices in millionths, rounded down, in whole numbers: the same on every machine."""
        aligned = [0 if i in self.withdrawn else m >> (self._top - e) for i, (m, e) in enumerate(self._terms)]
        total = sum(aligned)
        return [a * PPM // total for a in aligned]

    def owed(self, outcome: int) -> int:
        """Micro-credits to pay if ``outcome`` comes true: the units of it that are in people's hands."""
        return self.sets + self.quantities[outcome]

    def most_owed(self) -> int:
        """The largest sum that any outcome still possible would cost."""
        return self.sets + max(q for i, q in enumerate(self.quantities) if i not in self.withdrawn)

    def funding(self) -> int:
        """B: micro-credits that cover the worst outcome, ceil(b ln(sum w / least w)), rounded up where in doubt."""
        least = min(w for i, w in enumerate(self.weights) if i not in self.withdrawn)
        if least == self.whole_weight:
            return 0
        return -(-self.b * log_up(-(-(self.whole_weight << BITS) // least)) >> BITS)

    def buy(self, outcome: int, units: int) -> Move:
        """What it takes to buy ``units`` of ``outcome``."""
        return self._move(outcome, whole(units, "the number of units"), 0)

    def sell(self, outcome: int, units: int) -> Move:
        """What comes back for ``units`` of ``outcome`` (the amount is zero or negative)."""
        return self._move(outcome, -whole(units, "the number of units"), 0)

    def against(self, outcome: int, units: int) -> Move:
        """What it takes to buy ``units`` of every outcome but ``outcome``."""
        units = whole(units, "the number of units")
        return self._move(outcome, -units, units)

    def _move(self, outcome: int, change: int, sets: int) -> Move:
        self._known(outcome)
        if outcome in self.withdrawn:
            raise InputError(f"outcome {outcome} was withdrawn: it is not traded any more")
        quantity = self.quantities[outcome] + change
        if abs(quantity) > self.b * LARGEST_ARGUMENT or abs(quantity) > LARGEST:
            raise InputError(f"{abs(change):,} units are more than this market can carry; take fewer")
        mantissa, exponent = term = self._term(self.weights[outcome], quantity)
        old_mantissa, old_exponent = self._terms[outcome]
        top = self._top
        if exponent <= top and old_exponent < top:
            total = self._total - (-(-old_mantissa >> (top - old_exponent))) - (-mantissa >> (top - exponent))
        else:  # the largest term may be another: sum again
            live = [
                term if i == outcome else t
                for i, t in enumerate(self._terms)
                if i == outcome or i not in self.withdrawn
            ]
            top = max([e for _, e in live])
            total = sum([-(-m >> (top - e)) for m, e in live])
        log = self._log_of(total, top)
        amount = -(-self.b * (log - self._log + ERROR) >> BITS)
        amount = sets + min(amount, max(change, 0))  # no unit costs more than what it can pay
        return Move(outcome, sets, max(amount, 0) if sets else amount, quantity, term, top, total, log)

    def apply(self, move: Move) -> int:
        """Make a move that was computed on the market as it is now; returns its amount."""
        self.quantities[move.outcome] = move.quantity
        self.sets += move.sets
        self._terms[move.outcome] = move.term
        self._top, self._total, self._log = move.top, move.total, move.log
        return move.amount

    def add_sets(self, count: int) -> None:
        """``count`` complete sets more (or fewer) in people's hands, one micro-credit each; prices stay."""
        self.sets += count

    def units_for(self, outcome: int, budget: int, against: bool = False) -> int:
        """The most units of ``outcome`` (or against it) whose charge is at most ``budget`` micro-credits; may be 0."""
        budget = whole(budget, "the budget")
        ratio, p = budget / self.b, self.price(outcome)
        most = min(self.b * LARGEST_ARGUMENT, LARGEST) - abs(self.quantities[outcome])
        guess = min(max(int(self.b * _units_over_b(ratio, p, against)), 1), most)
        sign, per_set = (-1, 1) if against else (1, 0)

        def fits(units: int) -> bool:
            return units <= 0 or (units <= most and self._move(outcome, sign * units, per_set * units).amount <= budget)

        step = 1
        if fits(guess):
            low, high = guess, guess + step
            while fits(high):
                step *= 2
                low, high = high, high + step
        else:
            low, high = guess - step, guess
            while not fits(low):
                step *= 2
                low, high = low - step, low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return max(low, 0)

    def split(self, outcome: int, share_ppm: int) -> int:
        """Part ``outcome`` ("none") in two: a new outcome takes ``share_ppm`` millionths of it; its number is returned.

        Whoever holds a unit of the old outcome now holds one of each part, so nobody's claim changes, and no other
        price moves: w' X + w'' X = w X with the same X = exp(q / b).
        """
        self._known(outcome)
        if outcome in self.withdrawn:
            raise InputError(f"outcome {outcome} was withdrawn: it cannot be parted")
        if len(self.weights) >= MOST_OUTCOMES:
            raise InputError(f"a market has at most {MOST_OUTCOMES} outcomes")
        part = self.weights[outcome] * whole(share_ppm, "the new outcome's share of 'none' (millionths)", 1, 999_999)
        part //= 1_000_000
        if not 0 < part < self.weights[outcome]:
            raise InputError("what is left of 'none' is too little to part once more")
        self.weights[outcome] -= part
        self.weights.append(part)
        self.quantities.append(self.quantities[outcome])
        self._terms[outcome] = self._term(self.weights[outcome], self.quantities[outcome])
        self._terms.append(self._term(part, self.quantities[outcome]))
        self._sum_up()
        return len(self.weights) - 1

    def withdraw(self, outcome: int) -> None:
        """``outcome`` can no longer come true: it has lost, and the other prices rise in proportion to sum to 1."""
        self._known(outcome)
        if len(self.weights) - len(self.withdrawn | {outcome}) < 2:
            raise InputError("with this outcome withdrawn fewer than two would be left: void or settle the market")
        self.withdrawn.add(outcome)
        self._sum_up()

    def level(self) -> int:
        """An integer that is at least C(q)."""
        return -(-self.b * self._log >> BITS)

    def state(self) -> dict:
        """Everything that `Lmsr(**state)` needs to make the same market again, bit for bit."""
        return {
            "b": self.b,
            "weights": self.weights,
            "quantities": self.quantities,
            "sets": self.sets,
            "withdrawn": sorted(self.withdrawn),
            "whole_weight": self.whole_weight,
        }

    def _known(self, outcome: int) -> None:
        if type(outcome) is not int or not 0 <= outcome < len(self.weights):
            raise InputError(f"there is no outcome {outcome!r}: this market has 0 to {len(self.weights) - 1}")


def _units_over_b(ratio: float, p: float, against: bool) -> float:
    """The number of units over b that a budget of ``ratio`` b buys at price ``p``: a first guess, in floats."""
    odds = (1 - p) if against else p
    if odds <= 0:
        return ratio
    if ratio > 30:
        return ratio - math.log(odds)
    return math.log1p(math.expm1(ratio) / odds)
