"""Trades against a scoring rule: shares of one outcome, of all others, sold again, and complete sets given back.

Each operation looks at the book and either says in one line what is wrong or returns the event that will be; the
event's effect is what it does to the book, now and whenever the log is read again.
"""

from kolossos.errors import InputError
from kolossos.notes.ledger.book import BOT, RATER, Book, Broken
from kolossos.notes.ledger.market import CREDITS, Market, Posting
from kolossos.notes.market.amounts import whole
from kolossos.notes.market.lmsr import Lmsr, Move

TRADERS = (BOT, RATER)


def buy(
    book: Book,
    *,
    at: int,
    user: str,
    market: str,
    outcome: str,
    units: int | None = None,
    budget: int | None = None,
    most: int | None = None,
    against: bool = False,
) -> tuple[dict, Move]:
    """Buy ``units`` of ``outcome`` (``against``: of every other), or as many as ``budget`` micro-credits pay for; not
    at all if it costs more than ``most``."""
    found, maker = _lmsr(book, market, at)
    book.require(user, *TRADERS)
    index = found.outcome(outcome)
    if (units is None) == (budget is None):
        raise InputError("a purchase states either the units that are wanted or the budget, not both and not neither")
    if units is None:
        units = maker.units_for(index, whole(budget, "the budget"), against)
        if units == 0:
            raise InputError(f"{budget} micro-credits buy no unit of {outcome} at this price")
    move = (maker.against if against else maker.buy)(index, units)
    if most is not None and move.amount > whole(most, "the most it may cost", 0):
        raise InputError(f"it costs {move.amount:,} micro-credits now, more than the {most:,} stated")
    book.can_pay(user, found, move.amount)
    kind = "against" if against else "buy"
    return {"kind": kind, "market": market, "user": user, "outcome": index, "units": units, "amount": move.amount}, move


def sell(
    book: Book, *, at: int, user: str, market: str, outcome: str, units: int, least: int | None = None
) -> tuple[dict, Move]:
    """Sell ``units`` of ``outcome`` that one holds; not at all if less than ``least`` micro-credits come back."""
    found, maker = _lmsr(book, market, at)
    book.require(user, *TRADERS)
    index = found.outcome(outcome)
    has = book.balance(user, found.share(index))
    if whole(units, "the number of units") > has:
        raise InputError(f"{user} holds {has:,} units of {outcome} and wants to sell {units:,}")
    move = maker.sell(index, units)
    if least is not None and -move.amount < whole(least, "the least that must come back", 0):
        raise InputError(f"{-move.amount:,} micro-credits would come back now, less than the {least:,} stated")
    return {
        "kind": "sell",
        "market": market,
        "user": user,
        "outcome": index,
        "units": units,
        "amount": move.amount,
    }, move


def redeem(book: Book, *, at: int, user: str, market: str, units: int) -> tuple[dict, None]:
    """Give back ``units`` of every outcome that is still possible; a micro-credit comes back for each set."""
    found, maker = _lmsr(book, market, at)
    book.require(user, *TRADERS)
    has = min(book.balance(user, found.share(i)) for i in _possible(found, maker))
    if whole(units, "the number of sets") > has:
        raise InputError(f"{user} holds {has:,} complete sets and wants to give back {units:,}")
    return {"kind": "redeem", "market": market, "user": user, "units": units, "amount": -units}, None


def bought(book: Book, event: dict, move: Move | None) -> None:
    """The effect of `buy`, `against` and `sell`."""
    market = book.markets[event["market"]]
    maker, user, units, index = market.maker, event["user"], event["units"], event["outcome"]
    assert isinstance(maker, Lmsr)
    kind = event["kind"]
    if move is None:
        move = {"buy": maker.buy, "against": maker.against, "sell": maker.sell}[kind](index, units)
    if move.amount != event["amount"]:
        raise Broken(f"event {event['seq']} charged {event['amount']:,}, the market says {move.amount:,}")
    rows = market.pay_in(user, move.amount, market.escrow)
    if kind == "against":
        for other in _possible(market, maker):
            if other != index:
                rows += shares(market, user, other, units)
    else:
        rows += shares(market, user, index, units if kind == "buy" else -units)
    book.post(rows)
    maker.apply(move)
    moved(market, event)


def redeemed(book: Book, event: dict, _: None) -> None:
    """The effect of `redeem`."""
    market = book.markets[event["market"]]
    maker, user, units = market.maker, event["user"], event["units"]
    assert isinstance(maker, Lmsr)
    rows = market.pay_in(user, -units, market.escrow)
    for index in _possible(market, maker):
        rows += shares(market, user, index, -units)
    book.post(rows)
    maker.add_sets(-units)
    moved(market, event)


def shares(market: Market, user: str, outcome: int, units: int) -> list[Posting]:
    """The postings that give ``units`` of ``outcome`` to a person (negative: take)."""
    asset = market.share(outcome)
    return [(user, asset, units), (market.escrow, asset, -units)]


def moved(market: Market, event: dict) -> None:
    """After a trade: the price path goes on, what was moved is counted, the event tells the new prices."""
    prices = market.maker.prices_ppm()
    market.path.move(event["at"], prices)
    market.volume += abs(event["amount"])
    market.trades += 1
    if "outcome" in event:
        event["price_ppm"] = prices[event["outcome"]]


def owed(book: Book, market: Market) -> int:
    """The most that people would have to be paid, whatever comes true: from balances, not from the maker's count."""
    if isinstance(market.maker, Lmsr):
        possible = _possible(market, market.maker)
        return max(-book.balance(market.escrow, market.share(i)) for i in possible)
    return max(-book.balance(market.escrow, market.share(i)) + market.maker.makers(i) for i in (0, 1))


def escrow_covers(book: Book, market: Market) -> bool:
    """Whether whatever comes true can be paid from the market's own escrow."""
    return book.balance(market.escrow, CREDITS) >= owed(book, market)


def _possible(market: Market, maker: Lmsr) -> list[int]:
    return [i for i in range(len(market.outcomes)) if i not in maker.withdrawn]


def _lmsr(book: Book, market: str, at: int) -> tuple[Market, Lmsr]:
    found = book.open_market(market, at)
    if not isinstance(found.maker, Lmsr):
        raise InputError(f"market {found.name} is a pool: use take, order and cancel there")
    return found, found.maker
