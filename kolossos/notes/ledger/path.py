"""A market's prices over time, kept by the minute: what a decision looks at instead of the last trade.

A price that stands for a moment has next to no weight, so a push and its return a second later move nothing. Whole
numbers throughout: times in milliseconds, prices in millionths.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

MINUTE = 60_000
MINUTES_KEPT = 1_440


class PricePath:
    """Averages by the minute of each outcome's price, and the integral since the opening."""

    def __init__(self, at: int, prices: Sequence[int]) -> None:
        self.opened, self.at, self.prices = at, at, list(prices)
        self.integral = [0] * len(prices)  # of price over time, since the opening
        self._in_minute = [0] * len(prices)  # the part of it that lies in the current minute
        self._since = at  # where the current minute's integral begins
        self.minutes: deque[tuple[int, list[int], list[int]]] = deque(maxlen=MINUTES_KEPT)  # minute, averages, last

    def move(self, at: int, prices: Sequence[int]) -> None:
        """From ``at`` on (never before the last move) the prices are these; a new outcome may have come."""
        self._advance(at)
        for vector in (self.integral, self._in_minute):
            vector.extend([0] * (len(prices) - len(vector)))
        self.prices = list(prices)

    def _advance(self, at: int) -> None:
        if at // MINUTE > self.at // MINUTE:
            end = (self.at // MINUTE + 1) * MINUTE
            self._add(end)
            length = end - self._since
            self.minutes.append((end // MINUTE - 1, [part // length for part in self._in_minute], list(self.prices)))
            self._in_minute, self._since = [0] * len(self.prices), at // MINUTE * MINUTE
            self.integral = [i + p * (self._since - end) for i, p in zip(self.integral, self.prices, strict=True)]
            self.at = self._since
        self._add(at)

    def _add(self, at: int) -> None:
        length = at - self.at
        if length:
            self.integral = [i + p * length for i, p in zip(self.integral, self.prices, strict=True)]
            self._in_minute = [i + p * length for i, p in zip(self._in_minute, self.prices, strict=True)]
            self.at = at

    def averages(self, at: int) -> list[int]:
        """The time-weighted average price of each outcome from the opening to ``at``, rounded down; right after the
        opening the prices themselves."""
        length = at - self.opened
        if length <= 0:
            return list(self.prices)
        rest = at - self.at
        return [(i + p * rest) // length for i, p in zip(self.integral, self.prices, strict=True)]

    def by_minute(self, outcome: int, at: int, window: int) -> list[tuple[int, int]]:
        """(milliseconds, average price) of ``outcome`` over the last ``window`` ms before ``at``: one pair a minute in
        which something moved, one for each stretch in which nothing did. They add up to ``window``, or to the age."""
        start = max(at - window, self.opened)
        pieces: list[tuple[int, int, int]] = []  # from, to, price
        for minute, averages, _ in self.minutes:
            if outcome < len(averages):
                pieces.append((minute * MINUTE, (minute + 1) * MINUTE, averages[outcome]))
        quiet = [
            ((before[0] + 1) * MINUTE, after[0] * MINUTE, before[2][outcome])
            for before, after in pairwise(self.minutes)
            if after[0] > before[0] + 1 and outcome < len(before[2])
        ]
        if self.minutes and outcome < len(self.minutes[-1][2]):
            quiet.append(((self.minutes[-1][0] + 1) * MINUTE, self._since, self.minutes[-1][2][outcome]))
        if self.at > self._since:
            pieces.append((self._since, self.at, self._in_minute[outcome] // (self.at - self._since)))
        pieces.append((self.at, at, self.prices[outcome]))
        cut = ((min(to, at) - max(begin, start), price) for begin, to, price in sorted(pieces + quiet))
        return [(length, price) for length, price in cut if length > 0]

    def quantile(self, outcome: int, at: int, window: int, share_ppm: int) -> int:
        """The price below which ``outcome`` stood for at most ``share_ppm`` millionths of the window's time."""
        pieces = sorted(self.by_minute(outcome, at, window), key=lambda piece: piece[1])
        if not pieces:
            return self.prices[outcome]
        left = sum(length for length, _ in pieces) * share_ppm // 1_000_000
        for length, price in pieces:
            if left < length:
                return price
            left -= length
        return pieces[-1][1]

    def state(self) -> dict:
        """All of it, for `restored`."""
        return {
            "opened": self.opened,
            "at": self.at,
            "prices": self.prices,
            "integral": self.integral,
            "in_minute": self._in_minute,
            "since": self._since,
            "minutes": [list(entry) for entry in self.minutes],
        }

    @classmethod
    def restored(cls, state: dict) -> "PricePath":
        """The path that `state` described."""
        path = cls(state["opened"], state["prices"])
        path.at, path.integral = state["at"], state["integral"]
        path._in_minute, path._since = state["in_minute"], state["since"]
        path.minutes.extend((minute, averages, last) for minute, averages, last in state["minutes"])
        return path
