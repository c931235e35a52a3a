"""What happens by the clock: notes shown and taken down, proposals that nobody challenged made final, other servers'
events told."""

import contextlib
import logging
import threading
import time

from kolossos.errors import InputError
from kolossos.notes.decide import Policy
from kolossos.notes.ledger.book import SYSTEM, Book
from kolossos.notes.ledger.ledger import Ask
from kolossos.notes.oracle.resolve import due
from kolossos.notes.serve.desk import Busy, Desk
from kolossos.notes.serve.views import decision_of

EVERY_S = 1.0
_LOG = logging.getLogger(__name__)


class Clerk:
    """A thread that looks at the book now and then."""

    def __init__(self, desk: Desk, policy: Policy, every_s: float = EVERY_S) -> None:
        self.desk, self.policy, self.every_s = desk, policy, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="clerk", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for what is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _work(self) -> None:
        while not self._stop.wait(self.every_s):
            try:
                self.look()
            except Exception:  # it goes on: the next look may do
                _LOG.exception("looking at the markets failed")

    def look(self) -> int:
        """One look; returns how much was decided."""
        now = time.time_ns() // 1_000_000
        with self.desk.ledger.reading() as book:
            asks = [*decisions(book, max(now, book.at), self.policy), *due(book, max(now, book.at))]
        futures = []
        for ask in asks:
            with contextlib.suppress(Busy):
                futures.append(self.desk.put(ask))
        for future in futures:
            with contextlib.suppress(InputError):  # the market has changed in between
                future.result()
        self.desk.tell()
        return len(asks)


def decisions(book: Book, at: int, policy: Policy) -> list[Ask]:
    """What is to be shown or taken down at ``at`` that is not yet so."""
    asks = []
    for market in book.markets.values():
        decision = decision_of(book, market, at, policy)
        before = book.shown.get(market.name)
        if decision is None or (before is not None and before["shown"]) == decision["shown"]:
            continue
        shown_at = {"since": at} if decision["shown"] else {}
        values = {"shown": decision["shown"], "why": decision["why"], "figures": {**decision["figures"], **shown_at}}
        asks.append(Ask("show", {"by": SYSTEM, "note": market.name, **values}))
    for note, before in book.shown.items():
        if before["shown"] and note not in book.markets and (over := book.ended.get(note)) is not None:
            helpful = over["outcome"] == "yes"
            if not helpful:
                why = "its market is over"
                asks.append(Ask("show", {"by": SYSTEM, "note": note, "shown": False, "why": why, "figures": {}}))
    return asks
