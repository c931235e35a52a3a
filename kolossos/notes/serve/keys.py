"""Who asks: keys that are kept as hashes only, and how often one may ask."""

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from kolossos.notes.ledger.book import Book, Person

PREFIX = "kn-"
MOST_TRACKED = 50_000


def new_key() -> tuple[str, str]:
    """A new key and its sha256: the first is shown once, the second is kept."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, digest(key)


def digest(key: str) -> str:
    """The sha256 of a key, in hexadecimal. A key is 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """Finds the person of a key. What is compared are hashes, so that the time taken tells nothing of a key."""

    def __init__(self) -> None:
        self._seen, self._by_digest = -1, dict[str, Person]()

    def person(self, book: Book, key: str) -> Person | None:
        """Whose key this is, if it is anybody's and the account is active."""
        if book.seq != self._seen:
            self._by_digest = {p.key_sha256: p for p in book.people.values() if p.key_sha256 and p.active}
            self._seen = book.seq
        return self._by_digest.get(digest(key))


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """A bucket of ``burst`` requests for each who asks, filled with ``per_second``."""

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second, self.burst = per_second, burst
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_for(self, who: str) -> float:
        """Seconds until ``who`` may ask; 0: now, and it is counted."""
        now = time.monotonic()
        bucket = self._buckets.pop(who, None) or _Bucket(self.burst, now)
        self._buckets[who] = bucket
        if len(self._buckets) > MOST_TRACKED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.at) * self.per_second)
        bucket.at = now
        if bucket.tokens >= 1:
            bucket.tokens -= 1
            return 0.0
        return (1 - bucket.tokens) / self.per_second
