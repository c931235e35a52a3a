"""The end of a market: who is paid what. Whatever the mode, it happens once, and the escrow ends at zero."""

from kolossos.errors import InputError
from kolossos.notes.ledger.book import OPERATOR, SYSTEM, TREASURY, Book
from kolossos.notes.ledger.market import (
    AVERAGE,
    CHALLENGED,
    CREDITS,
    FINAL,
    NOBODY,
    OUTCOME,
    PROPOSED,
    REFUND,
    VOID,
    Market,
    Posting,
)
from kolossos.notes.ledger.trading import shares
from kolossos.notes.market.amounts import PPM, whole
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.market.pool import Pool

MODES = (OUTCOME, REFUND, NOBODY, AVERAGE)
CHALLENGE_WINDOW = 6 * 3_600_000  # ms between a proposal and its becoming final by time alone


class Already(Exception):
    """It has happened before, in the very same way: nothing is to be done."""

    def __init__(self, summary: dict) -> None:
        super().__init__("already so")
        self.summary = summary


def settle(
    book: Book,
    *,
    at: int,
    by: str,
    market: str,
    mode: str = OUTCOME,
    outcome: str | None = None,
    why: str = "",
    window: int = CHALLENGE_WINDOW,
) -> tuple[dict, None]:
    """End a market. ``outcome``: those who hold it are paid a micro-credit a unit; it must have been proposed, and not
    be challenged within ``window`` ms, unless an operator decides and says why. Without a verdict: ``refund`` gives
    everybody what they paid (void), ``nobody`` is paid, or each outcome pays its ``average`` price."""
    book.require(by, OPERATOR)
    if mode not in MODES:
        raise InputError(f"there is no way to end a market called {mode!r:.40}; there are " + ", ".join(MODES))
    before = book.over(market) if market not in book.markets else None
    if before is not None and (before["mode"], before["outcome"]) == (mode, outcome):
        raise Already(before)
    found = book.market(market)
    event: dict = {"kind": "settle", "by": by, "market": market, "mode": mode, "why": why}
    if mode != OUTCOME:
        if outcome is not None:
            raise InputError(f"a market that ends by {mode} has no winning outcome")
        return {**event, "outcome": None, "rates_ppm": _rates(found, mode, at)}, None
    if outcome is None:
        raise InputError("which outcome came true is needed")
    index = found.outcome(outcome)
    _may_be_final(found, index, by=by, why=why, until=at - whole(window, "the time to challenge (ms)", 0))
    return {**event, "outcome": outcome, "rates_ppm": [PPM * (i == index) for i in range(len(found.outcomes))]}, None


def _may_be_final(found: Market, index: int, *, by: str, why: str, until: int) -> None:
    if isinstance(found.maker, Lmsr) and index in found.maker.withdrawn:
        raise InputError(f"{found.outcomes[index]} was withdrawn from market {found.name}: it cannot come true")
    decided = by != SYSTEM and bool(why.strip())  # an operator has looked and answers for it
    if found.state not in (PROPOSED, CHALLENGED) or found.proposal is None:
        if not decided:
            raise InputError(f"market {found.name} is {found.state}: propose the outcome first, or say why it is clear")
        return
    if decided:
        return
    if found.state == CHALLENGED:
        raise InputError(f"the proposal of market {found.name} was challenged: an operator must decide and say why")
    if found.proposal["outcome"] != index:
        proposed = found.outcomes[found.proposal["outcome"]]
        raise InputError(f"{proposed} was proposed for market {found.name}, not {found.outcomes[index]}")
    if found.proposal["at"] > until:
        raise InputError(f"the proposal of market {found.name} can still be challenged")


def _rates(found: Market, mode: str, at: int) -> list[int] | None:
    if mode == AVERAGE:
        lost = found.maker.withdrawn if isinstance(found.maker, Lmsr) else ()
        return [0 if i in lost else average for i, average in enumerate(found.path.averages(at))]
    return None if mode == REFUND else [0] * len(found.outcomes)


def settled(book: Book, event: dict, _: None) -> None:
    """The effect of `settle`."""
    market = book.markets[event["market"]]
    rows = _orders_back(market)
    paid, escrow = 0, book.balance(market.escrow)
    for index in range(len(market.outcomes)):
        for user, units in book.holders(market, index):
            rows += shares(market, user, index, -units)
            if event["rates_ppm"] is not None and (due := units * event["rates_ppm"][index] // PPM):
                rows.append((user, CREDITS, due))
                paid += due
    for user, net in market.net.items():
        if net < 0:  # a gain that was held
            rows.append((market.held(user), CREDITS, net))
            if event["mode"] in (OUTCOME, AVERAGE):
                rows.append((user, CREDITS, -net))
            else:
                escrow -= net
        elif net > 0 and event["mode"] == REFUND:
            rows.append((user, CREDITS, net))
            paid += net
    left = escrow - paid
    rows += [(market.escrow, CREDITS, -book.balance(market.escrow)), (TREASURY, CREDITS, left)]
    book.post(rows)
    verdict = {"mode": event["mode"], "outcome": event["outcome"], "why": event["why"], "by": event["by"]}
    state = VOID if event["mode"] == REFUND else FINAL
    summary = {
        "state": state, "at": event["at"], "paid": paid, "fund": market.fund, "loss": market.fund - left,
        "volume": market.volume, "trades": market.trades, "question": market.question, "outcomes": market.outcomes,
        "opened": market.path.opened, "prices_ppm": market.path.prices, "proposal": market.proposal,
    }  # fmt: skip
    event["ended"] = {**verdict, **summary}
    book.end(market, event["ended"])


def _orders_back(market: Market) -> list[Posting]:
    rows: list[Posting] = []
    if isinstance(market.maker, Pool):
        for resting in market.maker.orders():
            rows += market.pay_in(resting.user, -resting.reserve(), market.reserve)
            market.maker.cancel(resting.number)
    return rows
