"""Whether a note is shown before its verdict, by what its market said over time; and whose next rating is worth most.

The decision looks at a lower quantile of the price over a window, by time: a last trade, however large, is one moment
of it. A hold-out of notes, drawn once by note, stays unshown whatever the price, so that what showing does can be
measured.
"""

import hashlib
from dataclasses import dataclass, fields

from kolossos.errors import InputError
from kolossos.notes.ledger.path import PricePath
from kolossos.notes.market.amounts import PPM

HELPFUL, NOT_HELPFUL = "helpful", "not helpful"


@dataclass(frozen=True)
class Policy:
    """When to show. Prices and shares in millionths, times in ms."""

    entry_ppm: int = 800_000
    exit_ppm: int = 600_000
    quantile_ppm: int = 100_000
    window: int = 30 * 60_000
    age: int = 10 * 60_000  # no decision on a market younger than this
    longest: int = 24 * 3_600_000
    holdout_ppm: int = 100_000
    seed: str = "1"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_ppm") and not (type(value) is int and 0 <= value <= PPM):
                raise InputError(f"the policy's {field.name} is {value!r:.30}: 0 to {PPM:,} millionths")
            if field.name in ("window", "age", "longest") and not (type(value) is int and value >= 0):
                raise InputError(f"the policy's {field.name} is {value!r:.30}: a number of milliseconds")
        if self.exit_ppm > self.entry_ppm:
            raise InputError("the policy takes a note down at a higher price than it shows it")
        if self.window < 60_000:
            raise InputError("the policy's window is below a minute: prices are kept by the minute")


@dataclass(frozen=True)
class Decision:
    """What to do with a note now, why, and on which figures."""

    shown: bool
    why: str
    quantile_ppm: int
    held_out: bool
    propensity_ppm: int  # of not being in the hold-out


def held_out(policy: Policy, note: str) -> bool:
    """Whether this note is in the hold-out: by its own draw, the same at all times."""
    digest = hashlib.sha256(f"{policy.seed}/{note}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * PPM < policy.holdout_ppm << 64


def decide(
    policy: Policy,
    note: str,
    path: PricePath,
    at: int,
    *,
    outcome: int = 0,
    shown_since: int | None = None,
    verdict: str | None = None,
    rejected: bool = False,
) -> Decision:
    """Whether ``note`` is shown at ``at``, being shown since ``shown_since`` or not.

    A ``verdict`` of the slow mechanism ends everything; a ``rejected`` note (a filter of the scorer acts) is not shown.
    """
    apart = held_out(policy, note)
    quantile = path.quantile(outcome, at, policy.window, policy.quantile_ppm)

    def so(shown: bool, why: str) -> Decision:
        return Decision(shown, why, quantile, apart, PPM - policy.holdout_ppm)

    if verdict is not None:
        return so(verdict == HELPFUL, f"the verdict is {verdict}")
    if rejected:
        return so(False, "a filter of the scorer rejects it")
    if apart:
        return so(False, "it is in the hold-out")
    if at - path.opened < policy.age:
        return so(False, f"its market is younger than {policy.age // 60_000} minutes")
    if shown_since is not None and at - shown_since >= policy.longest:
        return so(False, f"it was shown for {policy.longest // 3_600_000} hours without a verdict")
    if shown_since is not None:
        if quantile < policy.exit_ppm:
            return so(False, f"the price stood below {_share(policy.exit_ppm)} for too long")
        return so(True, f"the price stays above {_share(policy.exit_ppm)}")
    if quantile >= policy.entry_ppm:
        return so(True, f"the price stood at {_share(policy.entry_ppm)} or more")
    return so(False, f"the price has not stood at {_share(policy.entry_ppm)} or more for long enough")


def worth_of_rating(price_ppm: int, ratings: int, policy: Policy, prior: int = 4) -> float:
    """How much one more rating is expected to move a decision: for ranking only.

    The belief is taken as Beta with mean p and n = ratings + prior observations: the variance that the next one is
    expected to take away is p (1 - p) / (n + 1)^2, weighted by how near p lies to where it would be shown.
    """
    p, entry = price_ppm / PPM, policy.entry_ppm / PPM
    n = ratings + prior
    near = 1 / (1 + ((p - entry) / 0.2) ** 2)
    return p * (1 - p) / (n + 1) ** 2 * near


def _share(ppm: int) -> str:
    return f"{ppm / PPM:.2f}"
