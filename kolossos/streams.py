"""Random numbers by name: what is drawn for one thing never depends on what else is drawn, or in which order.

Every stream of the project is made here, from a seed and the name of what it is for.
"""

import hashlib
from zlib import crc32

import numpy as np

WORDS_OF_64_BITS = 4
WORDS_OF_A_BLOCK = 16  # Philox4x64 makes four times 64 bits from one value of its counter


def named_seed(seed: int, name: str) -> int:
    """56 bits that belong to ``name`` under ``seed``, for generators that take one integer (torch's)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "little")


def named_generator(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for ``name`` under ``seed``."""
    return np.random.default_rng(np.random.SeedSequence([seed, crc32(name.encode())]))


def counted_generator(seed: int, count: int, name: str, which: int = 0) -> np.random.Generator:
    """The ``which``-th (0 or 1) generator of the ``count``-th thing called ``name``: a counter-based Philox."""
    high = np.uint64((seed & 0xFFFFFFFF) | (which << 63) | (((seed >> 32) & 0x3FFFFFFF) << 32))
    return np.random.Generator(np.random.Philox(key=[high, np.uint64((count << 32) | crc32(name.encode()))]))


def counted_words(seed: int, name: str, start: int, count: int) -> np.ndarray:
    """Words ``start`` to ``start + count`` (uint16) of the endless stream that belongs to ``name`` under ``seed``.

    Any place is reached at once (Philox, Salmon et al. 2011: word i is a function of the key and of i alone), so that
    whoever needs a part of a stream makes that part and no more.
    """
    key = np.frombuffer(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], dtype="<u8")
    block, skipped = divmod(start, WORDS_OF_A_BLOCK)
    words_64 = -(-(skipped + count) // WORDS_OF_64_BITS)
    philox = np.random.Philox(key=key, counter=[block, 0, 0, 0])
    return philox.random_raw(words_64).astype("<u8", copy=False).view("<u2")[skipped : skipped + count]
