"""What of the book is told: markets, people, decisions, as plain values. Micro-credits, and prices in millionths."""

import math
from typing import Any

from kolossos.errors import InputError
from kolossos.notes.decide import Policy, decide, worth_of_rating
from kolossos.notes.ledger.book import TREASURY, Book
from kolossos.notes.ledger.market import Market
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.market.pool import Pool

DEPTH_PPM = (50_000, 100_000, 200_000)  # how far up a price is to be lifted


def brief(market: Market) -> dict[str, Any]:
    """A line of the list."""
    return {
        "name": market.name,
        "state": market.state,
        "question": market.question,
        "outcomes": market.outcomes,
        "prices_ppm": market.maker.prices_ppm(),
        "maker": "lmsr" if isinstance(market.maker, Lmsr) else "pool",
        "opened": market.path.opened,
        "closes": market.closes,
        "volume": market.volume,
        "trades": market.trades,
        "people": len(market.net),
        "ratings": market.ratings,
    }


def listed(book: Book, state: str | None, limit: int, search: str = "") -> list[dict]:
    """The latest markets first; over ones at the end."""
    found = [
        brief(m) for m in reversed(book.markets.values()) if state in (None, m.state) and _about(m.question, search)
    ]
    for name, over in reversed(book.ended.items()):
        if len(found) >= limit:
            break
        if state in (None, over["state"]) and _about(over["question"], search):
            found.append({"name": name, **over})
    return found[:limit]


def _about(question: dict, search: str) -> bool:
    return not search or any(search.lower() in str(value).lower() for value in question.values())


def whole(book: Book, name: str, at: int, policy: Policy) -> dict[str, Any]:
    """All there is to tell of a market, who holds what included."""
    if name not in book.markets and (over := book.over(name)) is not None:
        return {"name": name, **over, "decision": book.shown.get(name)}
    market = book.market(name)
    positions = {}
    for index, outcome in enumerate(market.outcomes):
        for user, units in book.holders(market, index):
            positions.setdefault(user, {})[outcome] = units
    people = [
        {"name": user, "net": net, "units": positions.get(user, {}), "role": book.people[user].role}
        for user, net in sorted(market.net.items(), key=lambda entry: -abs(entry[1]))[:200]
    ]
    orders = market.maker.orders() if isinstance(market.maker, Pool) else []
    return {
        **brief(market),
        "people_in_it": people,
        "orders": [
            {"number": o.number, "outcome": market.outcomes[o.side], "price_ppm": o.price_ppm, "units": o.units}
            for o in orders
        ],
        "depth": depth(market),
        "b": market.maker.b if isinstance(market.maker, Lmsr) else None,
        "fund": market.fund,
        "proposal": market.proposal,
        "decision": book.shown.get(market.name),
        "would_decide": decision_of(book, market, at, policy),
    }


def depth(market: Market) -> list[dict[str, int | str]]:
    """For each outcome: micro-credits that lift its price by 0.05, 0.1 and 0.2."""
    found = []
    for index, outcome in enumerate(market.outcomes[:20]):
        price = market.maker.prices_ppm()[index]
        for more in DEPTH_PPM:
            aim = price + more
            if price > 0 and aim < 1_000_000:
                found.append({"outcome": outcome, "to_ppm": aim, "cost": _cost_to(market, index, price, aim)})
    return found


def _cost_to(market: Market, index: int, price: int, aim: int) -> int:
    maker = market.maker
    if isinstance(maker, Pool):
        return maker.depth(index, aim)
    return round(maker.b * math.log((1_000_000 - price) / (1_000_000 - aim)))


def decision_of(book: Book, market: Market, at: int, policy: Policy) -> dict[str, Any] | None:
    """What the policy says of a market about one note; None for others."""
    if market.question.get("note") is None:
        return None
    before = book.shown.get(market.name)
    since = before["figures"].get("since") if before and before["shown"] else None
    rejected = bool(market.question.get("rejected"))
    d = decide(policy, market.name, market.path, at, shown_since=since, rejected=rejected)
    return {
        "shown": d.shown,
        "why": d.why,
        "figures": {
            "quantile_ppm": d.quantile_ppm,
            "price_ppm": market.maker.prices_ppm()[0],
            "held_out": d.held_out,
            "propensity_ppm": d.propensity_ppm,
        },
    }


def me(book: Book, name: str) -> dict[str, Any]:
    """An account: what it has, and where."""
    person = book.person(name)
    held = []
    for market in book.markets.values():
        if name not in market.net:
            continue
        units = {o: u for i, o in enumerate(market.outcomes) if (u := book.balance(name, market.share(i)))}
        orders = [o.number for o in market.maker.orders() if o.user == name] if isinstance(market.maker, Pool) else []
        held.append({"market": market.name, "net": market.net[name], "units": units, "orders": orders})
    return {"name": name, "role": person.role, "credits": book.balance(name), "markets": held}


def standings(book: Book, limit: int) -> list[dict[str, Any]]:
    """Accounts by what they have, with what their shares are worth at present prices."""
    worth = {name: book.balance(name) for name in book.people}
    for market in book.markets.values():
        prices = market.maker.prices_ppm()
        for name, net in market.net.items():
            shares = sum(book.balance(name, market.share(i)) * p for i, p in enumerate(prices)) // 1_000_000
            worth[name] = worth.get(name, 0) + shares + max(-net, 0)
    rows = [
        {"name": p.name, "role": p.role, "active": p.active, "credits": book.balance(p.name), "worth": worth[p.name]}
        for p in book.people.values()
    ]
    return sorted(rows, key=lambda row: -row["worth"])[:limit]


def worth_rating(book: Book, policy: Policy, limit: int) -> list[dict[str, Any]]:
    """Notes by how much one more rating is expected to move their decision."""
    rows = []
    for market in book.markets.values():
        note = market.question.get("note")
        if note is None or market.state != "open":
            continue
        price, ratings = market.maker.prices_ppm()[0], (market.ratings or [0])[0]
        score = worth_of_rating(price, ratings, policy)
        rows.append({"market": market.name, "note": note, "price_ppm": price, "ratings": ratings, "worth": score})
    return sorted(rows, key=lambda row: -row["worth"])[:limit]


def figures(book: Book) -> dict[str, int]:
    """The ledger in a few numbers."""
    states: dict[str, int] = {}
    for market in book.markets.values():
        states[market.state] = states.get(market.state, 0) + 1
    return {
        "events": book.seq,
        "people": len(book.people),
        "treasury": book.balance(TREASURY),
        "shown": sum(d["shown"] for d in book.shown.values()),
        **{f"markets_{state}": n for state, n in states.items()},
    }


def known_market(book: Book, name: str) -> None:
    """InputError unless there is or was a market of this name."""
    if name not in book.markets and book.over(name) is None:
        raise InputError(f"there is no market {name[:60]!r}")
