"""Everything that can be asked of the ledger, and what each kind of event does."""

from collections.abc import Callable
from typing import Any

from kolossos.notes.ledger import life, people, pools, settle, trading
from kolossos.notes.ledger.book import Book

Operation = Callable[..., tuple[dict, Any]]
Effect = Callable[[Book, dict, Any], None]

OPERATIONS: dict[str, Operation] = {
    "join": people.join,
    "grant": people.grant,
    "change": people.change,
    "open": life.open_market,
    "add": life.add_candidate,
    "withdraw": life.withdraw,
    "halt": life.halt,
    "go_on": life.go_on,
    "propose": life.propose,
    "challenge": life.challenge,
    "settle": settle.settle,
    "observe": life.observe,
    "show": life.show,
    "plan_audits": life.plan_audits,
    "buy": trading.buy,
    "sell": trading.sell,
    "redeem": trading.redeem,
    "take": pools.take,
    "order": pools.order,
    "cancel": pools.cancel,
}

EFFECTS: dict[str, Effect] = {
    "join": people.joined,
    "grant": people.granted,
    "change": people.changed,
    "open": life.opened,
    "add": life.added,
    "withdraw": life.withdrawn,
    "state": life.state_changed,
    "settle": settle.settled,
    "observe": life.observed,
    "show": life.was_shown,
    "audits": life.audits_planned,
    "buy": trading.bought,
    "against": trading.bought,
    "sell": trading.bought,
    "redeem": trading.redeemed,
    "take": pools.taken,
    "order": pools.taken,
    "cancel": pools.cancelled,
}
