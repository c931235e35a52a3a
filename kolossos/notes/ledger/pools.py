"""Trades in a pool: taking from the curve and from resting orders, letting an order rest, taking it back."""

from kolossos.errors import InputError
from kolossos.notes.ledger.book import Book, Broken
from kolossos.notes.ledger.market import Market, Posting
from kolossos.notes.ledger.trading import TRADERS, moved, shares
from kolossos.notes.market.amounts import PPM, whole
from kolossos.notes.market.pool import HIGHEST_PRICE_PPM, Order, Plan, Pool

MOST_ORDERS = 50  # resting at a time, of one person in one market


def take(
    book: Book,
    *,
    at: int,
    user: str,
    market: str,
    outcome: str,
    units: int | None = None,
    budget: int | None = None,
    limit_ppm: int = HIGHEST_PRICE_PPM,
    selling: bool = False,
) -> tuple[dict, Plan]:
    """Buy ``outcome`` at no price above ``limit_ppm``, up to ``units`` or ``budget``; ``selling``: sell ``units`` at no
    price below ``limit_ppm`` (0 to 999,999)."""
    found, pool = _pool(book, market, at)
    book.require(user, *TRADERS)
    side = found.outcome(outcome)
    if selling:
        if units is None or budget is not None:
            raise InputError("a sale states the units to be sold, and no budget")
        has = book.balance(user, found.share(side))
        if whole(units, "the number of units") > has:
            raise InputError(f"{user} holds {has:,} units of {outcome} and wants to sell {units:,}")
        limit_ppm = 0 if limit_ppm == HIGHEST_PRICE_PPM else whole(limit_ppm, "the limit (millionths)", 0, PPM - 1)
        asked = {"units": units, "budget": None, "limit_ppm": max(PPM - max(limit_ppm, 1), 1)}
    else:
        if (units is None) == (budget is None):
            raise InputError("a purchase states either the units that are wanted or the budget")
        asked = {"units": units, "budget": budget, "limit_ppm": limit_ppm}
    plan = pool.plan(1 - side if selling else side, user, **asked)
    if plan.units == 0:
        raise InputError("nothing can be had within this budget and limit")
    amount = plan.cost - plan.units if selling else plan.cost
    if not selling:
        book.can_pay(user, found, amount)
    event = {"kind": "take", "market": market, "user": user, "outcome": side, "units": plan.units, "amount": amount}
    return {**event, "selling": selling, "asked": asked}, plan


def order(
    book: Book, *, at: int, user: str, market: str, outcome: str, units: int, price_ppm: int
) -> tuple[dict, Plan]:
    """Buy up to ``units`` at ``price_ppm`` or better now; the rest waits at that price. Its number is the event's."""
    found, pool = _pool(book, market, at)
    book.require(user, *TRADERS)
    side = found.outcome(outcome)
    plan = pool.plan(side, user, units=units, limit_ppm=price_ppm)
    rest = Order(book.seq + 1, user, side, price_ppm, units - plan.units)
    freed = sum(o.reserve() for o in plan.cancelled)
    book.can_pay(user, found, max(plan.cost + rest.reserve() - freed, 0))
    mine = sum(o.user == user for o in pool.orders()) - len(plan.cancelled)
    if rest.units and mine >= MOST_ORDERS:
        raise InputError(f"{user} has {mine} orders resting in {market}: cancel one first")
    event = {"kind": "order", "market": market, "user": user, "outcome": side, "units": plan.units, "amount": plan.cost}
    asked = {"units": units, "budget": None, "limit_ppm": price_ppm}
    return {**event, "selling": False, "asked": asked, "rests": rest.units}, plan


def cancel(book: Book, *, at: int, user: str, market: str, number: int) -> tuple[dict, None]:
    """Take a resting order back; what it had put aside returns. Possible whenever the market is not over."""
    found = book.market(market)
    orders = found.maker.orders() if isinstance(found.maker, Pool) else []
    mine = next((o for o in orders if o.number == number), None)
    if mine is None or mine.user != user:
        raise InputError(
            f"{user} has no resting order {number!r:.30} in market {market}: filled, cancelled or not theirs"
        )
    return {"kind": "cancel", "market": market, "user": user, "number": number, "amount": 0}, None


def taken(book: Book, event: dict, plan: Plan | None) -> None:
    """The effect of `take` and `order`."""
    market = book.markets[event["market"]]
    pool, user, side = market.maker, event["user"], event["outcome"]
    assert isinstance(pool, Pool)
    bought_side = 1 - side if event["selling"] else side
    if plan is None:
        plan = pool.plan(bought_side, user, **event["asked"])
    amount = plan.cost - plan.units if event["selling"] else plan.cost
    if (plan.units, amount) != (event["units"], event["amount"]):
        raise Broken(f"event {event['seq']} took {event['units']:,} for {event['amount']:,}, the pool says otherwise")
    rows: list[Posting] = []
    for own in plan.cancelled:
        rows += market.pay_in(own.user, -own.reserve(), market.reserve)
    for fill in plan.fills:
        rows += [(market.reserve, "credits", -fill.paid), (market.escrow, "credits", fill.paid)]
        rows += market.pay_in(fill.order.user, -fill.released, market.reserve)
        rows += shares(market, fill.order.user, fill.order.side, fill.units)
    rows += market.pay_in(user, amount, market.escrow)
    if plan.units:
        rows += shares(market, user, side, -plan.units if event["selling"] else plan.units)
    rest = Order(event["seq"], user, side, event["asked"]["limit_ppm"], event.get("rests", 0))
    if rest.units:
        rows += market.pay_in(user, rest.reserve(), market.reserve)
    book.post(rows)
    pool.apply(plan)
    if rest.units:
        pool.rest(rest)
    event["filled"] = [[fill.order.number, fill.order.user, fill.units, fill.paid] for fill in plan.fills]
    moved(market, event)


def cancelled(book: Book, event: dict, _: None) -> None:
    """The effect of `cancel`."""
    market = book.markets[event["market"]]
    assert isinstance(market.maker, Pool)
    mine = market.maker.cancel(event["number"])
    book.post(market.pay_in(mine.user, -mine.reserve(), market.reserve))


def _pool(book: Book, market: str, at: int) -> tuple[Market, Pool]:
    found = book.open_market(market, at)
    if not isinstance(found.maker, Pool):
        raise InputError(f"market {found.name} has a scoring rule: use buy, sell and redeem there")
    return found, found.maker
