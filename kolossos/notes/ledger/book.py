"""The state of the ledger: people, balances, markets. It changes by events only, and balances by postings only."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from kolossos.errors import InputError
from kolossos.notes.ledger.market import CREDITS, OPEN, Market, Posting

MINT = "mint"  # the one account that may owe credits: as many as there are in all others
TREASURY = "treasury"
SYSTEM = "system"  # who acts when nobody does: setting up, closing by the clock
OPERATOR, AUDITOR, BOT, RATER = "operator", "auditor", "bot", "rater"
ENDED_KEPT, SHOWN_KEPT = 500, 20_000
ROLES = (OPERATOR, AUDITOR, BOT, RATER)


class Broken(Exception):
    """An invariant would be violated: a fault of the program. Nothing has been changed."""


@dataclass
class Person:
    """Somebody with an account: a human or a program."""

    name: str
    role: str
    key_sha256: str | None = None  # of the secret they show; None: cannot log in
    active: bool = True


class Book:
    """What is the case after event number ``seq``."""

    def __init__(self) -> None:
        self.seq, self.at = 0, 0
        self.balances: dict[tuple[str, str], int] = {}
        self.people: dict[str, Person] = {}
        self.markets: dict[str, Market] = {}
        self.ended: dict[str, dict] = {}  # of the last markets that are over: what there is to tell
        self.shown: dict[str, dict] = {}  # the last decision on each of the last notes
        self.audits: dict | None = None  # how markets without a verdict are audited, and the hash of the seed
        self.find_ended: Callable[[str], dict | None] = lambda name: None  # of any other, from the log

    def balance(self, account: str, asset: str = CREDITS) -> int:
        """Micro-credits, or units of a share."""
        return self.balances.get((account, asset), 0)

    def person(self, name: object) -> Person:
        """Somebody by name; InputError if there is nobody of that name or the account is closed."""
        found = self.people.get(name) if isinstance(name, str) else None
        if found is None or not found.active:
            raise InputError(f"there is no account {str(name)[:60]!r}")
        return found

    def require(self, by: str, *roles: str) -> None:
        """InputError unless ``by`` has one of these roles (the system has all)."""
        if by != SYSTEM and self.person(by).role not in roles:
            raise InputError(f"{by} is a {self.people[by].role}: this needs the role " + " or ".join(roles))

    def market(self, name: object) -> Market:
        """A market that is not over; InputError otherwise."""
        found = self.markets.get(name) if isinstance(name, str) else None
        if found is None:
            over = self.over(name) if isinstance(name, str) else None
            if over is not None:
                raise InputError(f"market {name} is over: it ended {over['state']}")
            raise InputError(f"there is no market {str(name)[:60]!r}")
        return found

    def over(self, name: str) -> dict | None:
        """What there is to tell of a market that is over; None if there is none of this name."""
        return self.ended.get(name) or self.find_ended(name)

    def open_market(self, name: object, at: int) -> Market:
        """A market in which one can trade at ``at``; InputError otherwise."""
        market = self.market(name)
        if market.state != OPEN:
            raise InputError(f"market {market.name} is {market.state}: there is no trading now")
        if at >= market.closes:
            raise InputError(f"market {market.name} closed at {market.closes}: there is no trading any more")
        return market

    def can_pay(self, user: str, market: Market, amount: int) -> None:
        """InputError unless ``user`` has ``amount`` micro-credits, gains in ``market`` included."""
        has = self.balance(user) + max(-market.net.get(user, 0), 0)
        if amount > has:
            raise InputError(f"{user} has {has:,} micro-credits and this takes {amount:,}")

    def post(self, rows: Iterable[Posting]) -> None:
        """Make the postings of one event, all or (Broken) none: each asset sums to zero, nobody falls below zero."""
        sums: dict[str, int] = {}
        after: dict[tuple[str, str], int] = {}
        for account, asset, amount in rows:
            sums[asset] = sums.get(asset, 0) + amount
            place = (account, asset)
            after[place] = after[place] + amount if place in after else self.balances.get(place, 0) + amount
        if any(sums.values()):
            raise Broken(f"postings do not sum to zero: {sums}")
        for (account, asset), amount in after.items():
            if amount < 0 and not may_owe(account, asset):
                raise Broken(f"{account} would have {amount:,} of {asset}")
        self.balances.update(after)

    def holders(self, market: Market, outcome: int) -> list[tuple[str, int]]:
        """Who holds units of ``outcome``, and how many."""
        asset = market.share(outcome)
        held = ((user, self.balances.get((user, asset), 0)) for user in market.people())
        return [(user, units) for user, units in held if units]

    def end(self, market: Market, summary: dict) -> None:
        """Put a market away; its empty accounts are forgotten."""
        del self.markets[market.name]
        keep(self.ended, market.name, summary, ENDED_KEPT)
        assets = [market.share(i) for i in range(len(market.outcomes))]
        for user in market.people():
            self._forget(market.held(user), CREDITS)
            for asset in assets:
                self._forget(user, asset)
        for account in (market.escrow, market.reserve):
            for asset in (CREDITS, *assets):
                self._forget(account, asset)

    def _forget(self, account: str, asset: str) -> None:
        if self.balances.get((account, asset)) == 0:
            del self.balances[account, asset]

    def state(self) -> dict:
        """All of it as plain values, for `restored`."""
        return {
            "seq": self.seq,
            "at": self.at,
            "balances": [[account, asset, amount] for (account, asset), amount in self.balances.items()],
            "people": [asdict(person) for person in self.people.values()],
            "markets": [market.state_of() for market in self.markets.values()],
            "ended": self.ended,
            "shown": self.shown,
            "audits": self.audits,
        }

    @classmethod
    def restored(cls, state: dict) -> "Book":
        """The book that `state` described."""
        book = cls()
        book.seq, book.at = state["seq"], state["at"]
        book.balances = {(account, asset): amount for account, asset, amount in state["balances"]}
        book.people = {person["name"]: Person(**person) for person in state["people"]}
        book.markets = {market["name"]: Market.restored(market) for market in state["markets"]}
        book.ended, book.shown, book.audits = state["ended"], state["shown"], state["audits"]
        return book


def keep(latest: dict[str, dict], name: str, entry: dict, most: int) -> None:
    """Put an entry last and let the oldest go."""
    latest.pop(name, None)
    latest[name] = entry
    if len(latest) > most:
        del latest[next(iter(latest))]


def may_owe(account: str, asset: str) -> bool:
    """Whether an account may stand below zero: the mint in credits, an escrow in the shares that it has given out."""
    return account == MINT if asset == CREDITS else account.startswith("escrow:")
