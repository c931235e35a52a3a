"""One market as the ledger holds it: its maker, its people's cash and what may happen to it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from kolossos.errors import InputError
from kolossos.notes.ledger.path import PricePath
from kolossos.notes.market.lmsr import Lmsr
from kolossos.notes.market.pool import Order, Pool

CREDITS = "credits"
OPEN, HALTED, PROPOSED, CHALLENGED, FINAL, VOID = "open", "halted", "proposed", "challenged", "final", "void"

OUTCOME, REFUND, NOBODY, AVERAGE = "outcome", "refund", "nobody", "average"  # how a market ends

Posting = tuple[str, str, int]  # account, asset, amount


@dataclass
class Market:
    """A question with outcomes; ``net`` is what each person has paid into it from outside, less what came back.

    A negative ``net`` is a gain made by selling. It stays in the market (account ``USER@MARKET``), to be used there,
    until the market ends: so that a void market can give everybody exactly what they paid, and nobody owes anything.
    """

    name: str
    question: dict  # what is asked: see kolossos.notes.oracle
    outcomes: list[str]
    maker: Lmsr | Pool
    path: PricePath
    fund: int  # what the treasury put in
    closes: int  # ms; no trade from then on
    state: str = OPEN
    net: dict[str, int] = field(default_factory=dict)
    volume: int = 0  # micro-credits that moved between people and the market
    trades: int = 0
    ratings: list[int] | None = None  # of its note, and how many of them say helpful, as far as was told
    proposal: dict | None = None

    @property
    def escrow(self) -> str:
        """The account that pays whatever comes true."""
        return f"escrow:{self.name}"

    @property
    def reserve(self) -> str:
        """The account that holds what resting orders have put aside."""
        return f"orders:{self.name}"

    def held(self, user: str) -> str:
        """The account of a person's gains in this market."""
        return f"{user}@{self.name}"

    def share(self, outcome: int) -> str:
        """The asset that pays a micro-credit a unit if ``outcome`` comes true."""
        return f"{self.name}/{outcome}"

    def outcome(self, name: str) -> int:
        """The number of an outcome; InputError with what there is if there is no such name."""
        try:
            return self.outcomes.index(name)
        except ValueError:
            raise InputError(
                f"market {self.name} has no outcome {name!r:.80}; it has " + ", ".join(self.outcomes[:8])
            ) from None

    def pay_in(self, user: str, amount: int, to: str) -> list[Posting]:
        """Move ``amount`` from a person to ``to`` (an account of this market); negative: back. Returns the postings.

        Gains in this market are used first; what comes back first replaces what was paid from outside.
        """
        before = self.net.get(user, 0)
        after = self.net[user] = before + amount
        rows = [(to, CREDITS, amount)]
        outside = max(after, 0) - max(before, 0)
        if outside:
            rows.append((user, CREDITS, -outside))
        inside = max(-after, 0) - max(-before, 0)
        if inside:
            rows.append((self.held(user), CREDITS, inside))
        return rows

    def people(self) -> Iterable[str]:
        """Everybody who ever moved a credit here, in the order of their first."""
        return self.net

    def state_of(self) -> dict:
        """All of it, for `restored`."""
        maker = self.maker
        kind = "lmsr" if isinstance(maker, Lmsr) else "pool"
        orders = [list(order) for order in maker.orders()] if isinstance(maker, Pool) else []
        plain = {name: getattr(self, name) for name in _PLAIN}
        return {**plain, "kind": kind, "maker": maker.state(), "orders": orders, "path": self.path.state()}

    @classmethod
    def restored(cls, state: dict) -> "Market":
        """The market that `state_of` described."""
        if state["kind"] == "lmsr":
            maker: Lmsr | Pool = Lmsr(**state["maker"])
        else:
            reserves, surplus = state["maker"]["reserves"], state["maker"]["surplus"]
            maker = Pool(tuple(reserves), tuple(surplus), [Order(*order) for order in state["orders"]])
        plain = {name: state[name] for name in _PLAIN}
        return cls(maker=maker, path=PricePath.restored(state["path"]), **plain)


_PLAIN = (  # what is written as it is
    *("name", "question", "outcomes", "fund", "closes", "state"),
    *("net", "volume", "trades", "ratings", "proposal"),
)
