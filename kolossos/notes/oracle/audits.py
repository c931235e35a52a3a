"""Audits where no verdict comes for free: some markets at random, busier ones more often, drawn so that nobody can
steer it afterwards.

The seed is chosen and its hash published before the first market opens; whoever knows the seed later can draw again and
must get the same.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from kolossos.errors import InputError
from kolossos.notes.ledger.ledger import Ask, Ledger
from kolossos.notes.ledger.market import HALTED, OPEN

PPM = 1_000_000


def commitment(seed: bytes) -> str:
    """What is published beforehand."""
    if len(seed) < 16:
        raise InputError("a seed for audits has at least 16 bytes, from a source that nobody can guess")
    return hashlib.sha256(b"audit" + seed).hexdigest()


def chance_ppm(volume: int, least_ppm: int, volume_for_all: int) -> int:
    """Millionths of chance to be audited: ``least_ppm`` for a market without trades, certain from ``volume_for_all``
    micro-credits of volume on, in proportion between."""
    if not 0 <= least_ppm <= PPM or volume_for_all <= 0:
        raise InputError("audits need a chance of 0 to 1,000,000 millionths and a volume above zero")
    return min(PPM, least_ppm + (PPM - least_ppm) * min(volume, volume_for_all) // volume_for_all)


def drawn(seed: bytes, market: str, chance: int) -> bool:
    """Whether ``market`` is audited; its own draw, whatever other markets there are."""
    number = int.from_bytes(hmac.digest(seed, market.encode(), "sha256")[:16], "big")
    return number * PPM < chance << 128


def read_seed(path: Path, make: bool) -> bytes:
    """The seed in a file; where there is none and ``make``, a new one, readable by its owner alone."""
    if make and not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: no seed can be read there: {error.strerror}") from None


def require_seed(seed: bytes, published: str) -> None:
    """InputError unless ``seed`` is the one that was published."""
    if not hmac.compare_digest(commitment(seed), published):
        raise InputError("this is not the seed whose hash was published before the markets opened")


def draw(ledger: Ledger, seed: bytes, by: str) -> tuple[list[str], list[str]]:
    """Draw among the markets that closed without a proposal: (those to be audited, those that ended undrawn).

    Only markets that opened after the seed's hash was published take part. Those drawn are halted until an auditor
    proposes; the others end the way that was published. Drawing again changes nothing.
    """
    with ledger.reading() as book:
        plan, now = book.audits, max(book.at, ledger.now())
        if plan is None:
            raise InputError("no audits were planned in this ledger: publish the hash of a seed first")
        require_seed(seed, plan["commitment"])
        waiting = [m for m in book.markets.values() if m.state in (OPEN, HALTED) and m.proposal is None]
        taking_part = [m for m in waiting if m.closes <= now and m.path.opened > plan["at"]]
        chances = {m.name: chance_ppm(m.volume, plan["least_ppm"], plan["volume_for_all"]) for m in taking_part}
        open_ones = {m.name for m in taking_part if m.state == OPEN}
    chosen = [name for name, chance in chances.items() if drawn(seed, name, chance)]
    others = [name for name in chances if name not in set(chosen)]
    halting = {"by": by, "why": "drawn for an audit"}
    ending = {"by": by, "mode": plan["mode"], "why": "not drawn for an audit"}
    asks = [Ask("halt", {"market": name, **halting}) for name in chosen if name in open_ones]
    asks += [Ask("settle", {"market": name, **ending}) for name in others]
    for answer in ledger.submit(asks):
        if isinstance(answer, InputError):
            raise answer
    return chosen, others
