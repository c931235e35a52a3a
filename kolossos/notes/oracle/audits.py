"""Audits where no verdict comes for free: some markets at random, busier ones more often, drawn so that nobody can
steer it afterwards.

The seed is chosen and its hash published before the first market opens; whoever knows the seed later can draw again and
must get the same.
"""

import hashlib
import hmac

from kolossos.errors import InputError

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


def require_seed(seed: bytes, published: str) -> None:
    """InputError unless ``seed`` is the one that was published."""
    if not hmac.compare_digest(commitment(seed), published):
        raise InputError("this is not the seed whose hash was published before the markets opened")
