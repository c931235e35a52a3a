"""Anything that anybody might ask of a ledger, in any order, most of it possible."""

import random

from kolossos.notes.ledger.book import SYSTEM, TREASURY, Book
from kolossos.notes.ledger.ledger import Ask
from kolossos.notes.ledger.life import NONE
from kolossos.notes.ledger.settle import MODES
from kolossos.notes.market.lmsr import Lmsr

LIVE = 12  # markets at a time
PEOPLE = 24


class RandomAsks:
    """A stream of asks, drawn with a look at the book so that most of them can be done."""

    def __init__(self, seed: int, name: str = "") -> None:
        self.draw = random.Random(seed)
        self.name = name
        self.count = 0

    def asks(self, book: Book, count: int) -> list[Ask]:
        """The next ``count`` asks."""
        return [self.ask(book) for _ in range(count)]

    def ask(self, book: Book) -> Ask:
        """One ask: set-up while there is little, else mostly trades."""
        self.count += 1
        if len(book.people) < PEOPLE:
            return self._join(book)
        if book.balance(TREASURY) < 10**9:
            return Ask("grant", {"by": SYSTEM, "to": TREASURY, "credits": 10**12})
        if len(book.markets) < LIVE:
            return self._open()
        kind = self.draw.random()
        if kind < 0.01:
            return self._life(book)
        return self._trade(book)

    def _join(self, book: Book) -> Ask:
        role = self.draw.choice(["bot", "rater", "bot", "rater", "operator", "auditor"])
        values = {"by": SYSTEM, "name": f"p{self.draw.randrange(2 * PEOPLE)}", "role": role}
        return Ask("join", {**values, "credits": self.draw.choice([0, 10**9, 10**12, 10**13])})

    def _open(self) -> Ask:
        draw = self.draw
        values = {
            "by": SYSTEM,
            "name": f"m{self.name}{draw.randrange(10**12)}",
            "question": {"note": "1"},
            "closes": 2**53,
        }
        if draw.random() < 0.4:
            return Ask(
                "open", {**values, "funding": draw.randrange(10**3, 10**8), "price_ppm": draw.randrange(1, 10**6)}
            )
        b = draw.choice([10**3, 10**6, 10**8])
        if draw.random() < 0.5:
            return Ask("open", {**values, "b": b, "weights": [draw.randrange(1, 100), draw.randrange(1, 100)]})
        outcomes = [NONE, *(f"n{i}" for i in range(draw.randrange(1, 6)))]
        return Ask(
            "open", {**values, "b": b, "outcomes": outcomes, "weights": [draw.randrange(1, 9) for _ in outcomes]}
        )

    def _market(self, book: Book):
        return book.markets[self.draw.choice(list(book.markets))]

    def _life(self, book: Book) -> Ask:
        draw, market = self.draw, self._market(book)
        values = {"by": SYSTEM, "market": market.name}
        outcome = draw.choice(market.outcomes)
        kind = draw.choice(
            ["settle", "settle", "settle", "settle", "halt", "go_on", "propose", "challenge", "add", "withdraw"]
        )
        if kind == "settle":
            mode = draw.choice(MODES)
            by = next((p.name for p in book.people.values() if p.role == "operator"), SYSTEM)
            chosen = {"outcome": outcome} if mode == "outcome" else {}
            return Ask("settle", {**values, "by": by, "mode": mode, "why": "it is so", **chosen})
        if kind == "propose":
            return Ask("propose", {**values, "outcome": outcome, "evidence": {}})
        if kind == "challenge":
            return Ask("challenge", {**values, "why": "is it?"})
        if kind == "add":
            return Ask("add", {**values, "name": f"n{draw.randrange(10**6)}", "share_ppm": draw.randrange(1, 10**6)})
        if kind == "withdraw":
            return Ask("withdraw", {**values, "outcome": outcome})
        return Ask(kind, values)

    def _trade(self, book: Book) -> Ask:
        draw, market = self.draw, self._market(book)
        user = f"p{draw.randrange(2 * PEOPLE)}"
        if draw.random() < 0.9:
            user = draw.choice([p.name for p in book.people.values() if p.role in ("bot", "rater")] or [user])
        index = draw.randrange(len(market.outcomes))
        values = {"user": user, "market": market.name}
        key = f"k{self.name}{draw.randrange(10**9)}" if draw.random() < 0.05 else None
        size = draw.choice([1, draw.randrange(1, 10**3), draw.randrange(1, 10**6), draw.randrange(1, 10**9)])
        holders = book.holders(market, index) if draw.random() < 0.6 else []
        if holders:
            user = values["user"] = draw.choice(holders)[0]
        has = book.balance(user, market.share(index))
        named = {**values, "outcome": market.outcomes[index]}
        if isinstance(market.maker, Lmsr):
            kind = draw.random()
            if kind < 0.4:
                return Ask("buy", {**named, "units": size, "against": draw.random() < 0.3}, key)
            if kind < 0.55:
                return Ask("buy", {**named, "budget": size}, key)
            if kind < 0.95 and (has or draw.random() < 0.1):
                return Ask("sell", {**named, "units": draw.choice([has, has, max(has // 2, 1), size])}, key)
            sets = min(book.balance(user, market.share(i)) for i in range(len(market.outcomes)))
            return Ask("redeem", {**values, "units": sets or size}, key)
        return self._in_pool(market, values, named, size, has, key)

    def _in_pool(self, market, values: dict, named: dict, size: int, has: int, key: str | None) -> Ask:
        draw, kind = self.draw, self.draw.random()
        if kind < 0.3:
            limit = {"limit_ppm": draw.randrange(1, 10**6)} if draw.random() < 0.5 else {}
            return Ask("take", {**named, draw.choice(["units", "budget"]): size, **limit}, key)
        if kind < 0.6 and (has or draw.random() < 0.1):
            return Ask("take", {**named, "units": draw.choice([has, max(has // 2, 1), size]), "selling": True}, key)
        if kind < 0.9:
            return Ask("order", {**named, "units": size, "price_ppm": draw.randrange(1, 10**6)}, key)
        orders = market.maker.orders()
        number = draw.choice(orders).number if orders and draw.random() < 0.9 else draw.randrange(10**4)
        mine = next((o.user for o in orders if o.number == number), values["user"])
        return Ask("cancel", {**values, "user": mine, "number": number}, key)
