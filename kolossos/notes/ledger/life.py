"""A market's life: opened, candidates that come and go, halted, proposed, challenged, ended."""

import re

from kolossos.errors import InputError
from kolossos.notes.ledger.book import AUDITOR, OPERATOR, SHOWN_KEPT, SYSTEM, TREASURY, Book, keep
from kolossos.notes.ledger.market import (
    AVERAGE,
    CHALLENGED,
    CREDITS,
    HALTED,
    NOBODY,
    OPEN,
    PROPOSED,
    REFUND,
    Market,
)
from kolossos.notes.ledger.path import PricePath
from kolossos.notes.ledger.trading import shares
from kolossos.notes.market.amounts import PPM, whole
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.market.pool import Pool

YES, NO, NONE = "yes", "no", "none"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_LATEST = 1 << 53  # ms: what JSON readers keep exactly


def open_market(
    book: Book,
    *,
    at: int,
    by: str,
    name: str,
    question: dict,
    closes: int,
    outcomes: list[str] | None = None,
    b: int | None = None,
    weights: list[int] | None = None,
    funding: int | None = None,
    price_ppm: int = 500_000,
) -> tuple[dict, None]:
    """A market on ``question``: with a liquidity ``b`` a scoring rule over ``outcomes`` (yes and no if not stated) that
    opens at prices in proportion to ``weights``; with a ``funding`` a pool over yes and no that opens at ``price_ppm``.
    The treasury pays what the maker can lose."""
    book.require(by, OPERATOR)
    name = _named(name, "a market")
    if name in book.markets or book.over(name):
        raise InputError(f"there is a market {name!r} already")
    closes = whole(closes, "the time the market closes (ms)", at + 1, _LATEST)
    outcomes = [_named(o, "an outcome") for o in outcomes or [YES, NO]]
    if len(set(outcomes)) != len(outcomes):
        raise InputError("two outcomes of a market have the same name")
    if (b is None) == (funding is None):
        raise InputError("a market has either a liquidity b (scoring rule) or a funding (pool)")
    if b is not None:
        maker = {"b": b, "weights": weights or [1] * len(outcomes)}
        if len(maker["weights"]) != len(outcomes):
            raise InputError(f"{len(outcomes)} outcomes and {len(maker['weights'])} weights: one for each is needed")
        fund = Lmsr(**maker).funding()
    else:
        if outcomes != [YES, NO]:
            raise InputError("a pool is about yes and no: leave the outcomes out")
        maker = {"funding": funding, "price_ppm": price_ppm}
        Pool.opened(**maker)
        fund = maker["funding"]
    if book.balance(TREASURY) < fund:
        raise InputError(f"the treasury has {book.balance(TREASURY):,} micro-credits: this market takes {fund:,}")
    event = {"kind": "open", "by": by, "name": name, "question": dict(question), "closes": closes}
    return {**event, "outcomes": outcomes, "maker": maker, "fund": fund}, None


def opened(book: Book, event: dict, _: None) -> None:
    """The effect of `open_market`."""
    stated = event["maker"]
    maker = Lmsr(**stated) if "b" in stated else Pool.opened(**stated)
    path = PricePath(event["at"], maker.prices_ppm())
    market = Market(
        event["name"], event["question"], list(event["outcomes"]), maker, path, event["fund"], event["closes"]
    )
    book.post([(TREASURY, CREDITS, -market.fund), (market.escrow, CREDITS, market.fund)])
    book.markets[market.name] = market


def add_candidate(book: Book, *, at: int, by: str, market: str, name: str, share_ppm: int) -> tuple[dict, None]:
    """A new candidate: it takes ``share_ppm`` millionths of "none", whose holders hold both from now on. No other price
    moves. The treasury pays what the maker can lose more."""
    book.require(by, OPERATOR)
    found = book.open_market(market, at)
    name = _named(name, "an outcome")
    if not isinstance(found.maker, Lmsr) or NONE not in found.outcomes:
        raise InputError(f"market {market} has no outcome {NONE!r} that a candidate could come out of")
    if name in found.outcomes:
        raise InputError(f"market {market} has an outcome {name!r} already")
    trial = Lmsr(**found.maker.state())
    trial.split(found.outcome(NONE), share_ppm)
    more = max(trial.funding() - found.fund, 0)
    if book.balance(TREASURY) < more:
        raise InputError(f"the treasury has {book.balance(TREASURY):,} micro-credits: this takes {more:,}")
    return {"kind": "add", "by": by, "market": market, "name": name, "share_ppm": share_ppm, "fund": more}, None


def added(book: Book, event: dict, _: None) -> None:
    """The effect of `add_candidate`."""
    market = book.markets[event["market"]]
    assert isinstance(market.maker, Lmsr)
    none = market.outcome(NONE)
    holders = book.holders(market, none)
    index = len(market.outcomes)
    rows = [(TREASURY, CREDITS, -event["fund"]), (market.escrow, CREDITS, event["fund"])]
    for user, units in holders:
        rows += shares(market, user, index, units)
    book.post(rows)
    market.maker.split(none, event["share_ppm"])
    market.outcomes.append(event["name"])
    market.fund += event["fund"]
    market.path.move(event["at"], market.maker.prices_ppm())


def withdraw(book: Book, *, at: int, by: str, market: str, outcome: str) -> tuple[dict, None]:
    """A candidate was taken back: it has lost, the other prices rise in proportion."""
    book.require(by, OPERATOR)
    found = book.market(market)
    index = found.outcome(outcome)
    if not isinstance(found.maker, Lmsr):
        raise InputError(f"market {market} is a pool: void it instead")
    Lmsr(**found.maker.state()).withdraw(index)
    return {"kind": "withdraw", "by": by, "market": market, "outcome": index}, None


def withdrawn(book: Book, event: dict, _: None) -> None:
    """The effect of `withdraw`."""
    market = book.markets[event["market"]]
    assert isinstance(market.maker, Lmsr)
    market.maker.withdraw(event["outcome"])
    market.path.move(event["at"], market.maker.prices_ppm())


def halt(book: Book, *, at: int, by: str, market: str, why: str = "") -> tuple[dict, None]:
    """No trades until it goes on."""
    return _state(book, by, market, HALTED, why, (OPEN,), (OPERATOR, AUDITOR))


def go_on(book: Book, *, at: int, by: str, market: str, why: str = "") -> tuple[dict, None]:
    """Trades again: after a halt, or after a proposal that did not hold."""
    return _state(book, by, market, OPEN, why, (HALTED, PROPOSED, CHALLENGED), (OPERATOR,))


def propose(book: Book, *, at: int, by: str, market: str, outcome: str, evidence: dict) -> tuple[dict, None]:
    """Somebody says how it came out, and by what: ``evidence`` as `kolossos.notes.oracle.evidence` makes it."""
    event, _ = _state(book, by, market, PROPOSED, "", (OPEN, HALTED), (OPERATOR, AUDITOR))
    index = book.market(market).outcome(outcome)
    return {**event, "proposal": {"outcome": index, "evidence": dict(evidence), "by": by}}, None


def challenge(book: Book, *, at: int, by: str, market: str, why: str) -> tuple[dict, None]:
    """An auditor doubts the proposal: it does not become final by time alone."""
    if not isinstance(why, str) or not why.strip():
        raise InputError("a challenge says why")
    return _state(book, by, market, CHALLENGED, why, (PROPOSED,), (AUDITOR, OPERATOR))


def state_changed(book: Book, event: dict, _: None) -> None:
    """The effect of `halt`, `go_on`, `propose` and `challenge`."""
    market = book.markets[event["market"]]
    market.state = event["state"]
    if event["state"] == PROPOSED:
        market.proposal = {**event["proposal"], "at": event["at"]}
    elif event["state"] == CHALLENGED:
        market.proposal = {**(market.proposal or {}), "challenged": event["why"]}
    elif event["state"] == OPEN:
        market.proposal = None


def observe(book: Book, *, at: int, by: str, market: str, ratings: int, helpful: int = 0) -> tuple[dict, None]:
    """How many ratings its note has by now, and how many of them say helpful: for people, bots and the ranking."""
    book.require(by, OPERATOR)
    book.market(market)
    ratings = whole(ratings, "the number of ratings", 0)
    return {
        "kind": "observe", "by": by, "market": market, "ratings": ratings,
        "helpful": whole(helpful, "the number of helpful ratings", 0, ratings),
    }, None  # fmt: skip


def observed(book: Book, event: dict, _: None) -> None:
    """The effect of `observe`."""
    book.markets[event["market"]].ratings = [event["ratings"], event["helpful"]]


def show(
    book: Book, *, at: int, by: str, note: str, shown: bool, why: str, figures: dict | None = None
) -> tuple[dict, None]:
    """What was decided about a note, and on which figures (all integers or text): for the record."""
    if by != SYSTEM:
        book.require(by, OPERATOR)
    return {"kind": "show", "by": by, "note": note, "shown": bool(shown), "why": why, "figures": figures or {}}, None


def was_shown(book: Book, event: dict, _: None) -> None:
    """The effect of `show`."""
    entry = {name: event[name] for name in ("at", "by", "shown", "why", "figures")}
    keep(book.shown, event["note"], entry, SHOWN_KEPT)


def plan_audits(
    book: Book, *, at: int, by: str, commitment: str, least_ppm: int, volume_for_all: int, mode: str
) -> tuple[dict, None]:
    """Publish how markets that get no verdict will be audited: the hash of a seed that is kept secret until then, the
    chance of a market without trades, the volume (micro-credits) from which all are, and how the others end."""
    book.require(by, OPERATOR)
    if not re.fullmatch(r"[0-9a-f]{64}", str(commitment)):
        raise InputError("the commitment to a seed is its hash, 64 hexadecimal digits")
    if mode not in (REFUND, NOBODY, AVERAGE):
        raise InputError(f"a market that was not drawn ends by {REFUND}, {NOBODY} or {AVERAGE}, not {mode!r:.40}")
    return {
        "kind": "audits", "by": by, "commitment": commitment, "mode": mode,
        "least_ppm": whole(least_ppm, "the least chance (millionths)", 0, PPM),
        "volume_for_all": whole(volume_for_all, "the volume from which all are audited"),
    }, None  # fmt: skip


def audits_planned(book: Book, event: dict, _: None) -> None:
    """The effect of `plan_audits`."""
    book.audits = {name: event[name] for name in ("at", "commitment", "mode", "least_ppm", "volume_for_all")}


def _state(
    book: Book, by: str, market: str, state: str, why: str, before: tuple[str, ...], roles: tuple[str, ...]
) -> tuple[dict, None]:
    book.require(by, *roles)
    found = book.market(market)
    if found.state not in before:
        raise InputError(f"market {market} is {found.state}: only one that is {' or '.join(before)} becomes {state}")
    if not isinstance(why, str) or len(why) > 1_000:
        raise InputError("a reason is a text of at most 1,000 characters")
    return {"kind": "state", "by": by, "market": market, "state": state, "why": why}, None


def _named(name: object, what: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"{name!r:.60} is no name for {what}: letters, digits, _ . - and at most 60 of them")
    return name
