"""A pool on a question with two answers: the constant-product curve, and resting limit orders between its steps.

Every share is half of a complete set that somebody paid for with one micro-credit per unit, so the escrow can pay
either answer by construction and the maker cannot lose more than it put in. An order to buy YES at p stands opposite to
one to buy NO at 1 - p: together they pay for a set. Who comes first at a price is filled first (then by the number of
the order).
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from kolossos.errors import InputError
from kolossos.notes.market.amounts import LARGEST, PPM, whole
from kolossos.notes.market.curve import cost_of, cost_to_price, units_for

YES, NO = 0, 1
HIGHEST_PRICE_PPM = PPM - 1


class Order(NamedTuple):
    """A resting order to buy ``units`` of ``side`` at ``price_ppm`` millionths of a credit each."""

    number: int
    user: str
    side: int
    price_ppm: int
    units: int

    def reserve(self) -> int:
        """Micro-credits that are put aside for it, rounded up."""
        return -(-self.units * self.price_ppm // PPM)


class Fill(NamedTuple):
    """A part of a resting order that was met: ``paid`` from its reserve, ``released`` of the reserve given back."""

    order: Order
    units: int
    paid: int
    released: int


@dataclass
class Plan:
    """What a purchase would do, before it is done."""

    side: int
    units: int = 0
    cost: int = 0
    reserves: tuple[int, int] = (0, 0)
    fills: list[Fill] = field(default_factory=list)
    cancelled: list[Order] = field(default_factory=list)  # the buyer's own orders that stood in the way


class Pool:
    """Reserves of YES and NO, the maker's surplus, and the orders that rest."""

    def __init__(self, reserves: tuple[int, int], surplus: tuple[int, int], orders: Iterable[Order] = ()) -> None:
        self.reserves, self.surplus = reserves, surplus
        self._orders: tuple[list, list] = ([], [])  # of (-price, number, Order): the first is the best
        for order in orders:
            self.rest(order)

    @classmethod
    def opened(cls, funding: int, price_ppm: int) -> "Pool":
        """A pool of ``funding`` micro-credits in complete sets whose price of YES is ``price_ppm``; what one side has
        too much stays the maker's own."""
        funding = whole(funding, "the pool's funding", 1_000, LARGEST)
        price_ppm = whole(price_ppm, "the opening price (millionths)", 1, HIGHEST_PRICE_PPM)
        yes, no = _in_ratio(funding, PPM - price_ppm, price_ppm)
        return cls((yes, no), (funding - yes, funding - no))

    def add(self, funding: int) -> None:
        """``funding`` more, in the ratio of the reserves: the price stays, no share is lost (the rest is surplus)."""
        funding = whole(funding, "the pool's funding", 1_000, LARGEST)
        more = _in_ratio(funding, *self.reserves)
        self.reserves = (self.reserves[0] + more[0], self.reserves[1] + more[1])
        self.surplus = (self.surplus[0] + funding - more[0], self.surplus[1] + funding - more[1])

    def price(self, side: int = YES) -> float:
        """The curve's price of ``side``, strictly between 0 and 1."""
        _known(side)
        return self.reserves[1 - side] / sum(self.reserves)

    def prices_ppm(self) -> list[int]:
        """The prices of YES and NO in millionths, rounded down."""
        total = sum(self.reserves)
        return [self.reserves[NO] * PPM // total, self.reserves[YES] * PPM // total]

    def makers(self, side: int) -> int:
        """Units of ``side`` that are the maker's."""
        return self.reserves[side] + self.surplus[side]

    def orders(self, side: int | None = None) -> list[Order]:
        """The resting orders, best first."""
        sides = (YES, NO) if side is None else (side,)
        return [order for s in sides for _, _, order in self._orders[s]]

    def rest(self, order: Order) -> None:
        """Let an order rest."""
        insort(self._orders[order.side], (-order.price_ppm, order.number, order))

    def cancel(self, number: int) -> Order:
        """Take the order with this number out; InputError if there is none."""
        for entries in self._orders:
            for place, entry in enumerate(entries):
                if entry[1] == number:
                    return entries.pop(place)[2]
        raise InputError(f"there is no resting order {number} in this market: it was filled or cancelled")

    def depth(self, side: int, price_ppm: int) -> int:
        """Micro-credits that a buyer of ``side`` must spend to lift its price to ``price_ppm``, orders included."""
        return self.plan(side, "", limit_ppm=price_ppm).cost

    def plan(
        self,
        side: int,
        user: str,
        *,
        units: int | None = None,
        budget: int | None = None,
        limit_ppm: int = HIGHEST_PRICE_PPM,
    ) -> Plan:
        """A purchase of ``side`` by ``user``: at most ``units``, at most ``budget`` micro-credits, at no price above
        ``limit_ppm``; cheapest first, curve and orders in turn."""
        _known(side)
        limit_ppm = whole(limit_ppm, "the price (millionths)", 1, HIGHEST_PRICE_PPM)
        left = LARGEST if units is None else whole(units, "the number of units")
        money = LARGEST if budget is None else whole(budget, "the budget")
        plan, (x, y) = Plan(side), (self.reserves[side], self.reserves[1 - side])
        opposite = iter(self._orders[1 - side])
        while left and money:
            entry = next(opposite, None)
            order = entry[2] if entry else None
            offered = PPM - order.price_ppm if order else PPM
            room = min(cost_to_price(x, y, min(offered, limit_ppm)), money)
            got = min(units_for(x, y, room), left) if room else 0
            if got > 0:
                room = min(cost_of(x, y, got), room)
                x, y = x + room - got, y + room
                left, money = left - got, money - room
                plan.units, plan.cost = plan.units + got, plan.cost + room
            if order is None or offered > limit_ppm:
                break
            if order.user == user:
                plan.cancelled.append(order)
                continue
            got = min(left, order.units, money * PPM // offered)
            if got:
                fill = _fill(order, got)
                plan.fills.append(fill)
                left, money = left - got, money - (got - fill.paid)
                plan.units, plan.cost = plan.units + got, plan.cost + got - fill.paid
            if got < order.units:
                break
        plan.reserves = (x, y) if side == YES else (y, x)
        return plan

    def apply(self, plan: Plan) -> None:
        """Do what was planned on the pool as it is now."""
        self.reserves = plan.reserves
        entries = self._orders[1 - plan.side]
        for order in plan.cancelled:
            self.cancel(order.number)
        for fill in plan.fills:
            if fill.units == fill.order.units:
                self.cancel(fill.order.number)
            else:
                rest = fill.order._replace(units=fill.order.units - fill.units)
                place = next(i for i, entry in enumerate(entries) if entry[1] == rest.number)
                entries[place] = (-rest.price_ppm, rest.number, rest)

    def state(self) -> dict:
        """Reserves and surplus; the orders are kept beside it."""
        return {"reserves": list(self.reserves), "surplus": list(self.surplus)}


def _fill(order: Order, units: int) -> Fill:
    """The resting side pays its price rounded down, the one who comes pays the rest of a set: rounded up."""
    paid = units * order.price_ppm // PPM
    rest = order._replace(units=order.units - units)
    return Fill(order, units, paid, order.reserve() - rest.reserve() - paid)


def _in_ratio(funding: int, yes: int, no: int) -> tuple[int, int]:
    """The larger side gets ``funding``, the other its proportion rounded down, at least one."""
    largest = max(yes, no)
    return max(funding * yes // largest, 1), max(funding * no // largest, 1)


def _known(side: int) -> None:
    if side not in (YES, NO) or type(side) is not int:
        raise InputError(f"there is no outcome {side!r}: a pool has 0 (yes) and 1 (no)")
